"""The sequences a prefix cache holds, found by their tokens."""

import hashlib
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """Different sequences of equal length in an order of their own, so that the same set is always the same."""

    ids: Tensor
    """int64[rows, length], sorted, on the CPU"""
    places: dict[bytes, int] = field(repr=False)
    """A sequence's bytes → its row."""

    @classmethod
    def of(cls, *parts: Tensor) -> "Rows":
        """All sequences of int64[any, length] tensors, each once."""
        ids = torch.cat([part.cpu() for part in parts]).unique(dim=0)
        return cls(ids, {row.numpy().tobytes(): place for place, row in enumerate(ids)})

    def find(self, ids: Tensor) -> list[int] | None:
        """The rows of int64[batch, length] sequences; None if one of them is not here."""
        places = [self.places.get(row.numpy().tobytes()) for row in ids.cpu()]
        return None if None in places else [place for place in places if place is not None]

    def batches(self, size: int) -> list[range]:
        """The rows in pieces of ``size``, the last as small as it comes out."""
        return [range(start, min(start + size, len(self.ids))) for start in range(0, len(self.ids), size)]

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the sequences, hexadecimal."""
        return hashlib.sha256(self.ids.numpy().tobytes()).hexdigest()
