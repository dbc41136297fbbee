"""Prefix caches on disk: folders named by what is in them, whole or absent, checked before they are used."""

import errno
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.runs.files import part_of, remove, sha256, writing

FOLDER = ".prefix-cache"
"""Where caches lie, beside the runs that share them."""
STATES = "states.bin"
"""The hidden states: rows of equal size, one after the other, nothing else."""
ABOUT = "about.json"


@dataclass(frozen=True)
class Entry:
    """One cache that is complete."""

    path: Path
    about: dict[str, Any]
    """key: what the states depend on. states: dtype, shape, bytes, sha256. fill: seconds, batches. digest: of the
    rest."""

    @property
    def states(self) -> Path:
        """The file with the hidden states."""
        return self.path / STATES

    @property
    def used(self) -> float:
        """When it was last used, seconds since 1970."""
        return (self.path / ABOUT).stat().st_mtime

    def fault(self, key: dict[str, Any]) -> str | None:
        """What forbids to use it for ``key``; None if nothing does. Reads the whole file."""
        if self.about["key"] != key:
            return "it was made for something else"
        if self.states.stat().st_size != self.about["states"]["bytes"]:
            return "its size is wrong"
        return None if sha256(self.states) == self.about["states"]["sha256"] else "its checksum does not match"


def name_of(key: dict[str, Any]) -> str:
    """The folder of the cache for ``key``: 16 hexadecimal digits."""
    return digest_of(key)[:16]


def entries(folder: Path) -> list[Entry]:
    """The readable caches in a folder, the one used last first."""
    found = []
    for path in folder.glob("*/"):
        if (entry := read_entry(path)) is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: -entry.used)


def read_entry(path: Path) -> Entry | None:
    """The cache in a folder of its own, unchecked; None if there is none that can be read."""
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        complete = about.pop("digest") == digest_of(about) and (path / STATES).is_file()
    except (OSError, ValueError, AttributeError, KeyError):
        return None
    return Entry(path, about) if complete else None


def digest_of(about: dict[str, Any]) -> str:
    """SHA-256 of a description, hexadecimal."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def open_or_fill(
    folder: Path,
    key: dict[str, Any],
    size: int,
    fill: Callable[[Path], dict[str, Any]],
    notify: Callable[[str], None],
) -> tuple[Entry, bool]:
    """(the cache for ``key``, whether it was there already). A damaged or foreign one is made anew.

    size: bytes it will take. fill(file): write the states, return the rest of ``about``. Several
    processes may call this at once; one fills, the others wait. Raises UserError if the disk has no room.
    """
    path = folder / name_of(key)
    with one_at_a_time(folder, path.name, notify):
        if path.exists():
            entry = read_entry(path)
            fault = "it cannot be read" if entry is None else entry.fault(key)
            if entry is not None and fault is None:
                with suppress(OSError):  # another user's
                    os.utime(path / ABOUT)
                return entry, True
            notify(f"prefix cache {path}: {fault}; made anew")
            remove(path)
        remove(part_of(path))
        check_room(folder, size, notify)
        with writing(path) as aside:
            aside.mkdir()
            rest = fill(aside / STATES)
            states = {**rest.pop("states"), "bytes": size, "sha256": sha256(aside / STATES)}
            about = {"key": key, "states": states, **rest, "created": round(time.time())}
            about["digest"] = digest_of(about)
            (aside / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
        made = read_entry(path)
        assert made is not None
        return made, False


def check_room(folder: Path, size: int, notify: Callable[[str], None]) -> None:
    """Say what is needed. Raises UserError if the disk has no room for ``size`` bytes in ``folder``."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size > free:
        raise UserError(
            f"--cache-dir {folder}: the prefix cache needs {readable(size)}, and {readable(free)} are free; free some"
            " space (hyperfit cache clear), name another folder, or give --prefix-cache off"
        )
    notify(f"prefix cache: needs {readable(size)} in {folder}, where {readable(free)} are free")


def clear(folder: Path, names: tuple[str, ...] = (), notify: Callable[[str], None] = print) -> list[tuple[str, int]]:
    """Remove the named caches, or all, and what killed processes left; (name, bytes) of each.

    Raises UserError for a name that is not there. A run that is reading one goes on undisturbed.
    """
    there = {path.name: path for path in folder.glob("*/") if is_ours(path)}
    if missing := [name for name in names if name not in there]:
        raise UserError(
            *(f"{name}: no prefix cache of that name in {folder}; hyperfit cache list shows them" for name in missing)
        )
    gone = []
    for name in names or sorted(there):
        path = there[name]
        with one_at_a_time(folder, name_in(path), wait=False) as mine:
            if not mine:
                notify(f"{name}: being filled or checked by another process; left alone")
                continue
            size = sum(file.stat().st_size for file in path.iterdir())
            remove(path)
            (folder / f".{name_in(path)}.lock").unlink(missing_ok=True)
        gone.append((name, size))
    return gone


def is_ours(path: Path) -> bool:
    """Whether a folder is a cache, whole, damaged or half-made, and holds nothing else: nothing else may be deleted."""
    name = name_in(path)
    named = len(name) == 16 and set(name) <= set("0123456789abcdef") and not path.is_symlink()
    return named and {file.name for file in path.iterdir()} <= {STATES, ABOUT}


def name_in(path: Path) -> str:
    """The name of the cache that a folder holds or was to hold."""
    return path.name.removeprefix(".").removesuffix(".part")


def readable(size: int) -> str:
    """Bytes for people, in decimal KB, MB or GB."""
    unit, name = next(((unit, name) for unit, name in ((1e9, "GB"), (1e6, "MB")) if size >= unit), (1e3, "KB"))
    return f"{size / unit:.1f} {name}"


@contextmanager
def one_at_a_time(
    folder: Path, name: str, notify: Callable[[str], None] = print, *, wait: bool = True
) -> Iterator[bool]:
    """Wait until no other process is in this block for the same name; true inside it.

    wait: or give up at once, which is false. Raises UserError if the folder cannot be written to.
    """
    refused = f"--cache-dir {folder}: cannot be written to ({{}}); name another folder, or give --prefix-cache off"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / f".{name}.lock", os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise UserError(refused.format(error.strerror)) from error
    mine = True
    try:
        if sys.platform != "win32":  # has no such locks
            import fcntl

            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise UserError(refused.format(error.strerror)) from error
                mine = wait
                if wait:
                    notify(f"prefix cache {folder / name}: waiting for the process that fills or checks it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
        yield mine
    finally:
        os.close(lock)
