"""Files and folders that are whole or absent, whatever happens while they are written."""

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError


@contextmanager
def writing(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write a file or folder at; rename it to ``target`` when the block ends.

    A kill leaves the old file or the new one (of a folder that is being replaced: the new one or none).
    Raises UserError when the disk is full; whatever was half-written is removed on any failure.
    """
    aside = part_of(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove(aside)
        yield aside
        for path in sorted(aside.rglob("*")) if aside.is_dir() else [aside]:
            if path.is_file():
                path.chmod(path.stat().st_mode | 0o044)  # safetensors writes files that only their owner can read
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if target.is_dir():
            remove(target)
        aside.rename(target)
    except BaseException as failure:
        with suppress(OSError):
            remove(aside)
        with telling_of_full_disk(target):
            raise failure


def check_writable(folder: Path) -> None:
    """Raises UserError for a folder that is not there and cannot be made, or that cannot be written to."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise UserError(f"--output {folder}: {there} is not a folder that can be written to; name another")


def part_of(target: Path) -> Path:
    """Where ``writing`` puts what is not yet whole."""
    return target.with_name(f".{target.name}.part")


def remove(path: Path) -> None:
    """Delete a file or a folder if it is there."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def telling_of_full_disk(target: Path) -> Iterator[None]:
    """Raises UserError in place of what says that there is no space left to write ``target``."""
    try:
        yield
    except BaseException as failure:
        if disk_full(failure):
            there = next(folder for folder in target.absolute().parents if folder.exists())
            raise UserError(
                f"{target}: the disk is full ({shutil.disk_usage(there).free / 1e6:.0f} MB free); free some "
                "space and repeat the command (a training run goes on with --resume)"
            ) from failure
        raise


def disk_full(failure: BaseException) -> bool:
    """Whether a failure, also one from a compiled writer that keeps only the text, says that space ran out."""
    if isinstance(failure, OSError) and failure.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return True
    return any(os.strerror(code) in str(failure) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


def write_json(target: Path, value: Any) -> None:
    """Write JSON, indented, whole or not at all."""
    with writing(target) as aside:
        aside.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def sha256(path: Path) -> str:
    """Hexadecimal digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
