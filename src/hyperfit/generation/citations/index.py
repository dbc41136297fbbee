"""Which tokens follow the last k tokens in a corpus: an exact index in a few tensors, saved beside a run."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.runs.files import writing

FORMAT = "hyperfit citations, version 1"
KEY_BITS = 63
"""Bits of a key: an int64 without its sign."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """Some tokens of the prefix, looked up in one search."""

    keys: Tensor
    """int64[distinct keys], ascending. A key packs the rank that the level before found, then this level's tokens."""
    tokens: int
    """Tokens in a key."""
    shifts: Tensor
    """int64[tokens]: how far each of them is shifted to the left."""

    @classmethod
    def of(cls, keys: Tensor, tokens: int, bits: int) -> "Level":
        """A level whose tokens take ``bits`` bits each."""
        return cls(keys=keys, tokens=tokens, shifts=torch.arange(tokens - 1, -1, -1, device=keys.device) * bits)


@dataclass(frozen=True, kw_only=True)
class CitationIndex:
    """For every run of ``k`` tokens of a corpus, the tokens that follow it there. Exact.

    A prefix is not hashed but ranked: as many of its tokens as fit are packed into one int64, whose place
    among all those of the corpus is its rank; rank and next tokens are packed again, until all k are used
    (two searches for k = 5 and 17 bits a token). Equal ranks mean equal tokens, so that nothing can collide.

    Memory: 8 bytes for each distinct key of each level, 4 for each distinct prefix, 4 for each distinct
    pair of prefix and follower; at most 24 bytes a token of the corpus with two levels.
    """

    k: int
    bits: int
    """Bits of the largest token id of the corpus."""
    largest: int
    """That id."""
    levels: tuple[Level, ...]
    offsets: Tensor
    """int32[prefixes + 1]: where each prefix's followers begin; the last entry is their number."""
    followers: Tensor
    """int32[pairs]: token ids, different and ascending within a prefix."""

    @classmethod
    def build(cls, sequences: Tensor | Iterable[Any], k: int = 5) -> "CitationIndex":
        """Index a corpus; see ``hyperfit.generation.citations.build.build_index``."""
        from hyperfit.generation.citations.build import build_index

        return build_index(sequences, k)

    @property
    def device(self) -> torch.device:
        """Where all its tensors are."""
        return self.followers.device

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def to(self, device: torch.device | str) -> "CitationIndex":
        """The same index on another device."""
        return replace(
            self,
            levels=tuple(
                replace(level, keys=level.keys.to(device), shifts=level.shifts.to(device)) for level in self.levels
            ),
            offsets=self.offsets.to(device),
            followers=self.followers.to(device),
        )

    def find(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """(bool[rows]: whether the tokens occur, int64[rows]: their rank, any valid one where they do not).

        windows: int64[rows, k], any integers. Fixed shapes throughout, nothing is read back to the host.
        """
        found = (windows.clamp(0, self.largest) == windows).all(1)
        rank = torch.zeros_like(windows[:, 0])
        used = 0
        for level in self.levels:
            tokens = windows[:, used : used + level.tokens]
            key = (rank << level.tokens * self.bits) + (tokens << level.shifts).sum(1)
            rank = torch.searchsorted(level.keys, key).clamp_(max=len(level.keys) - 1)
            found &= level.keys[rank] == key
            used += level.tokens
        return found, rank

    def followers_of(self, prefix: Sequence[int]) -> list[int]:
        """The tokens that follow ``prefix``, k token ids, in the corpus: ascending; empty if it does not occur."""
        if len(prefix) != self.k:
            raise UserError(f"prefix of {len(prefix)} tokens: the index was built for {self.k}; give as many")
        found, rank = self.find(torch.tensor([list(prefix)], device=self.device))
        start, end = self.offsets[rank[0]], self.offsets[rank[0] + 1]
        return [int(token) for token in self.followers[start:end]] if found[0] else []

    def only(self, wanted: Tensor) -> "CitationIndex":
        """The same prefixes with those followers for which ``wanted``, bool[vocabulary], is true."""
        kept = wanted.to(self.device)[self.followers]
        before = torch.zeros(len(kept) + 1, dtype=torch.int32, device=self.device)
        torch.cumsum(kept, 0, out=before[1:])
        return replace(self, offsets=before[self.offsets], followers=self.followers[kept])

    # On disk

    def tensors(self) -> dict[str, Tensor]:
        """What is saved, by name."""
        keys = {f"keys.{number}": level.keys for number, level in enumerate(self.levels)}
        return {**keys, "offsets": self.offsets, "followers": self.followers}

    def save(self, path: Path | str) -> None:
        """Write it as one safetensors file, whole or not at all. Raises UserError when the disk is full."""
        tensors = {name: tensor.cpu() for name, tensor in self.tensors().items()}
        about = {"k": self.k, "bits": self.bits, "largest": self.largest, "tokens": [lv.tokens for lv in self.levels]}
        described = json.dumps(about)
        metadata = {"format": FORMAT, "about": described, "sha256": digest(described, tensors)}
        with writing(Path(path)) as aside:
            save_file(tensors, aside, metadata=metadata)

    @classmethod
    def load(cls, path: Path | str) -> "CitationIndex":
        """Read what ``save`` wrote, onto the CPU. Raises UserError if it is missing, damaged or something else."""
        try:
            with safe_open(path, "pt") as file:
                metadata = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
        except (OSError, SafetensorError) as error:
            raise UserError(f"{path}: cannot be read ({error}); build the citation index again") from error
        if (found := metadata.get("format")) != FORMAT:
            raise UserError(f"{path}: is not a citation index of this version ({found or 'no format'}); build it again")
        described = metadata.get("about", "")
        if metadata.get("sha256") != digest(described, tensors):
            raise UserError(f"{path}: is damaged (its checksum does not match); build the citation index again")
        about = json.loads(described)
        levels = [
            Level.of(tensors[f"keys.{number}"], tokens, about["bits"]) for number, tokens in enumerate(about["tokens"])
        ]
        return cls(
            k=about["k"],
            bits=about["bits"],
            largest=about["largest"],
            levels=tuple(levels),
            offsets=tensors["offsets"],
            followers=tensors["followers"],
        )


def digest(described: str, tensors: dict[str, Tensor]) -> str:
    """SHA-256 of a description and of the tensors' names, types, shapes and contents."""
    total = hashlib.sha256(described.encode())
    for name, tensor in sorted(tensors.items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(tensor.numpy().data)
    return total.hexdigest()
