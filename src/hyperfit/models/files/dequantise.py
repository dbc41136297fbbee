"""GGUF files: de-quantised once into the cache folder, then model folders like any other.

What comes of a file is whole or not at all: weights as safetensors, config and tokenizer.
"""

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hyperfit.console import say
from hyperfit.errors import UserError
from hyperfit.models.files.gguf_header import check_header

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TOKENIZER = 8
"""Bytes that a byte of the file which is no weight takes at most: a tokenizer is written as JSON."""
FILES = ("config.json", "model.safetensors", "tokenizer.json")
"""What makes up the folder; a tokenizer's settings beside them."""
SUMS = "sha256sums.txt"
"""What the files were when they were unpacked, as sha256sum -c reads it."""


def cache_folder() -> Path:
    """Where built-in models are unpacked: $HYPERFIT_CACHE, else hyperfit in $XDG_CACHE_HOME, else in ~/.cache."""
    own = os.environ.get("HYPERFIT_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hyperfit"


def gguf_folder(file: Path) -> Path:
    """The model folder that is made from a GGUF file, the first time.

    Raises UserError if the package gguf is not installed, if transformers cannot read the file, or if the cache folder
    has no room or cannot be written to; nothing half-made is left there.
    """
    if not find_spec("gguf"):
        raise UserError(f"{file}: needs the package gguf, which reads such files; pip install gguf")
    folder = cache_folder() / f"{file.stem}-{digest_of(file)}"
    if folder.is_dir():
        return whole(str(file), folder)
    try:
        return dequantised(str(file), file, folder)
    except UserError:
        raise
    except Exception as error:  # whatever a reader of foreign files may meet
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(f"{file}: cannot be read by transformers' reader of GGUF files ({reason})") from error


def digest_of(file: Path) -> str:
    """Twelve hexadecimal digits of SHA-256 over the file."""
    return sha256_of(file)[:12]


def sha256_of(file: Path) -> str:
    """SHA-256 of a file's content, hexadecimal; read once in a process, unless the file has been changed."""
    about = file.stat()
    return _sha256(str(file.resolve()), (about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns))


@lru_cache
def _sha256(path: str, state: tuple[int, ...]) -> str:
    with Path(path).open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def dequantised(name: str, file: Path, folder: Path, check: Callable[[], None] = lambda: None) -> Path:
    """The folder, made from a GGUF file unless another process has made it meanwhile; ``check`` is asked before.

    name: of the model, in messages.
    """
    lock = writable(name, folder)
    from filelock import FileLock

    with FileLock(lock):  # of several processes one unpacks, the others wait
        if not folder.is_dir():
            check()
            with read_once():
                check_room(name, folder.parent, unpacked_size(file))
                say(f"{name}: de-quantising {file.name} into {folder}, once")
                unpack(name, file, folder)
    return folder


def whole(name: str, folder: Path) -> Path:
    """The folder, if what was unpacked is still there and as it was.

    Raises UserError, with the remedy, if somebody took from it or changed it.
    """
    if missing := [part for part in FILES if not (folder / part).is_file()]:
        raise UserError(f"{folder}: {', '.join(missing)} is missing; remove this folder, and {name} is unpacked anew")
    sums = folder / SUMS
    if sums.is_file() and sums.read_text(encoding="utf-8") != sums_of(folder):
        raise UserError(f"{folder}: is no longer what was unpacked; remove this folder, and {name} is unpacked anew")
    return folder


def sums_of(folder: Path) -> str:
    """SHA-256 of each of FILES, as sha256sum prints them."""
    return "".join(f"{sha256_of(folder / part)}  {part}\n" for part in FILES)


def writable(name: str, folder: Path) -> Path:
    """A lock file beside a folder to be. Raises UserError if there cannot be one."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock = folder.with_name(f".{folder.name}.lock")
        lock.touch()
    except OSError as error:
        raise UserError(
            f"{name}: is unpacked into {folder.parent}, which cannot be written to ({error.strerror}); name another "
            "folder in the environment variable HYPERFIT_CACHE"
        ) from error
    return lock


def unpacked_size(file: Path) -> int:
    """Bytes that the folder made from a GGUF file takes: its weights as they are written, and the tokenizer.

    Raises ValueError for a file whose header cannot be.
    """
    from gguf import GGUFReader

    check_header(file)
    tensors = GGUFReader(str(file)).tensors
    weights = sum(int(tensor.n_elements) for tensor in tensors) * (2 if rounded(file) else 4)
    return weights + TOKENIZER * (file.stat().st_size - sum(int(tensor.n_bytes) for tensor in tensors))


def check_room(name: str, folder: Path, needs: int) -> None:
    """Raises UserError if what is unpacked would not fit."""
    if (free := shutil.disk_usage(folder).free) < needs:
        raise UserError(
            f"{name}: needs {needs / 1e6:.0f} MB in {folder}, where {free / 1e6:.0f} MB are free; free some space, or "
            "name another folder in the environment variable HYPERFIT_CACHE"
        )


def unpack(name: str, file: Path, folder: Path) -> None:
    """Write config, weights and tokenizer of a GGUF file aside, and rename them to ``folder``: whole or absent."""
    aside = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed
    from safetensors import SafetensorError

    try:
        save_dequantised(file, aside)
        (aside / SUMS).write_text(sums_of(aside), encoding="utf-8")
        for path in aside.iterdir():
            path.chmod(path.stat().st_mode | 0o044)  # safetensors writes files that only their owner can read
            with path.open("rb") as written:
                os.fsync(written.fileno())
        aside.rename(folder)
    except BaseException as failure:
        shutil.rmtree(aside, ignore_errors=True)
        reason = str(failure) if isinstance(failure, SafetensorError) else getattr(failure, "strerror", None)
        if reason:
            raise UserError(
                f"{name}: cannot be unpacked into {folder} ({reason}); mend that, or name another folder in the "
                "environment variable HYPERFIT_CACHE"
            ) from failure
        raise


def save_dequantised(file: Path, folder: Path) -> None:
    """The model and tokenizer of a GGUF file as a Hugging Face folder: in bfloat16, or float32 where that keeps more.

    transformers reads the file, but marks the model as quantised and refuses to save it: so it is built anew from its
    config, and the tensors are copied.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from hyperfit.models.loading import quiet

    with read_once():
        check_described(file)
        read, tokenizer = read_gguf(file)
        kind = "bfloat16" if rounded(file) else "float32"
    dtype = getattr(torch, kind)
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    config = type(read.config).from_dict({**settings, "dtype": kind})
    with quiet():
        with torch.device("meta"):  # no weights to begin with
            model = AutoModelForCausalLM.from_config(config, dtype=dtype)
        model.load_state_dict({name: tensor.to(dtype) for name, tensor in read.state_dict().items()}, assign=True)
        model.tie_weights()
        model.save_pretrained(folder, max_shard_size="1000GB")
        tokenizer.save_pretrained(folder)


def check_described(file: Path) -> None:
    """Raises ValueError for a GGUF file that describes another model than it holds: it would be made up first."""
    from gguf import GGUFReader
    from transformers import AutoConfig

    from hyperfit.models.files.classes import refusal
    from hyperfit.models.loading import quiet
    from hyperfit.models.skeleton import parameters_of

    config = AutoConfig.from_pretrained(str(file.parent), gguf_file=file.name, trust_remote_code=False)
    if reason := refusal(config):
        raise ValueError(reason)
    with quiet():
        described = parameters_of(config)
    held = sum(int(tensor.n_elements) for tensor in GGUFReader(str(file)).tensors)
    if described > 2 * held:
        raise ValueError(f"it describes a model of {described} parameters, and holds {held}")


def read_gguf(file: Path) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
    """The model in float32, in evaluation mode, and the tokenizer, as transformers reads them from a GGUF file.

    Raises ValueError for a file without some of the weights, and whatever transformers does at others.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from hyperfit.models.loading import quiet

    where, known = str(file.parent), {"gguf_file": file.name, "trust_remote_code": False}
    with read_once(), quiet(), redirect_stderr(io.StringIO()):  # a bar for seconds of work
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            where, **known, dtype=torch.float32, output_loading_info=True
        )
        model, report = loaded
        if missing := sorted(report["missing_keys"]):
            raise ValueError(f"it has no weights for {len(missing)} tensors of the model, such as {missing[0]}")
        return model, AutoTokenizer.from_pretrained(where, **known)


@contextmanager
def read_once() -> Iterator[None]:
    """Inside the block a GGUF file is parsed once, and the names of an architecture's tensors are put together once.

    transformers parses for config, weights and tokenizer anew, and collects the names for each module of the model.
    """
    import gguf

    package: Any = gguf
    kept = {name: getattr(package, name) for name in ("GGUFReader", "get_tensor_name_map")}
    for name, one in kept.items():
        setattr(package, name, lru_cache(maxsize=1)(one))
    try:
        yield
    finally:
        for name, one in kept.items():
            setattr(package, name, one)


def rounded(file: Path) -> bool:
    """Whether weights of the file are quantised or bfloat16: a file of float16 and float32 alone has finer ones."""
    from gguf import GGMLQuantizationType, GGUFReader

    exact = {GGMLQuantizationType.F16, GGMLQuantizationType.F32}
    return not {tensor.tensor_type for tensor in GGUFReader(str(file)).tensors} <= exact
