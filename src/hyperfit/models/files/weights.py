"""The files that a model's weights lie in, and a fingerprint by which changed weights are noticed."""

import hashlib
import json
from pathlib import Path
from typing import Any, BinaryIO

from transformers.utils import SAFE_WEIGHTS_INDEX_NAME, SAFE_WEIGHTS_NAME
from transformers.utils.hub import cached_file

from hyperfit.errors import UserError
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.shards import shards_in
from hyperfit.models.loading import UNREADABLE, load_config

BLOCK = 4096
"""Bytes that are read at once, a page of most disks."""
BLOCKS = 4
"""Read of every tensor, from its first to its last; one of 16 KiB or less is read whole."""
LONGEST_HEADER = 100_000_000
"""Bytes, as safetensors has it; more is taken for damage."""


def weight_files(name: str) -> list[Path]:
    """The safetensors files of a model: one, or the shards that its index names. Raises UserError if there are none."""
    where = model_folder(name)
    try:
        if single := cached_file(where, SAFE_WEIGHTS_NAME, _raise_exceptions_for_missing_entries=False):
            return [Path(single)]
        index = Path(str(cached_file(where, SAFE_WEIGHTS_INDEX_NAME)))
        files = [Path(str(cached_file(where, shard))) for shard in shards_in(index)]
    except UNREADABLE as error:
        raise UserError(f"{name}: its safetensors files cannot be found ({error})") from error
    if not files:
        raise UserError(f"{name}: its safetensors files cannot be found (its {SAFE_WEIGHTS_INDEX_NAME} names none)")
    return files


def weights_fingerprint(name: str) -> str:
    """16 hexadecimal digits that change when the weights of a causal LM (folder, hub id or builtin:NAME) do.

    SHA-256 of every tensor's name, type and shape, and of BLOCKS blocks of its values. Whatever touches whole tensors
    is seen: another model or revision, more training, merged adapters, another type, a larger vocabulary. A few rows
    edited in a large matrix may not be. A whole hash would see them too, but takes a minute for 8 billion parameters,
    at every resume and every evaluation; this reads 4 MB of them, a moment. Names of files, metadata and times
    do not count, so that a copy is the same model, and neither does a hub's commit, which a corrected README changes;
    only where the files are not to be found under the hub id (converted on their way) is it the commit that counts.

    The prefix cache has a key of its own, exact, of the tensors in memory (``hyperfit.prefix.plan.digest``): those
    of a model from ``cache_prefix`` need lie in no file, and an edited row would make its states wrong.

    Raises UserError for files that are damaged.
    """
    total = hashlib.sha256()
    try:
        files = weight_files(name)
    except UserError:
        total.update(f"{name} {getattr(load_config(name), '_commit_hash', None)}".encode())
        return total.hexdigest()[:16]
    tensors: dict[str, str] = {}
    for file in files:
        try:
            with file.open("rb") as opened:
                tensors |= sampled(opened)
        except UNREADABLE as error:
            raise UserError(f"{file}: cannot be read ({error}); copy or download it again") from error
    for tensor in sorted(tensors):
        total.update(f"{tensor} {tensors[tensor]}\n".encode())
    return total.hexdigest()[:16]


def sampled(file: BinaryIO) -> dict[str, str]:
    """Tensor → type, shape and SHA-256 of samples of its values, of an open safetensors file.

    Raises one of UNREADABLE for what is no such file.
    """

    def read(start: int, size: int) -> bytes:
        file.seek(start)
        if size < 0 or len(data := file.read(size)) < size:
            raise ValueError("it is shorter than it should be")
        return data

    length = int.from_bytes(read(0, 8), "little")
    if length > LONGEST_HEADER:
        raise ValueError("it does not begin with the header of a safetensors file")
    header: dict[str, Any] = json.loads(read(8, length))
    json.dumps(header, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
    found = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            first, last = (8 + length + int(offset) for offset in tensor["data_offsets"])
            blocks = [read(start, size) for start, size in samples(last - first, first)]
            found[name] = f"{tensor['dtype']} {tensor['shape']} {hashlib.sha256(b''.join(blocks)).hexdigest()}"
    return found


def samples(size: int, start: int = 0) -> list[tuple[int, int]]:
    """(place, bytes) of what is read of ``size`` bytes from ``start``: all, or BLOCKS blocks evenly spread."""
    if size <= BLOCK * BLOCKS:
        return [(start, size)]
    return [(start + (size - BLOCK) * block // (BLOCKS - 1), BLOCK) for block in range(BLOCKS)]
