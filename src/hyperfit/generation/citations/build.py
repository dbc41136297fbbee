"""A corpus → its citation index, in memory bounded by a few bytes a token."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.generation.citations.index import KEY_BITS, CitationIndex, Level

PIECE = 1 << 22
"""Tokens, windows or keys that are worked on at a time; what that takes (about 200 MB) does not grow."""
MOST = 2**31 - 1
"""Tokens in a corpus, and the largest token id: both are counted in int32."""


def build_index(sequences: Tensor | Iterable[Any], k: int = 5) -> CitationIndex:
    """The tokens that follow each run of ``k`` tokens, never across the ends of sequences.

    sequences: int64[sequences, length] of real tokens; or anything that yields such chunks or single
    sequences (lists, arrays or tensors of token ids, of any lengths), read once. Sequences that have k
    tokens or fewer add nothing. Raises UserError if none has more, or for what are no token ids.

    Memory beside ``sequences``, at most: 17 bytes a token and 8 for each level (33 with the two levels of
    k = 5 and ids below 2**17), of which the index stays, and a fixed work space of about 200 MB. Keys are
    sorted in place; ranks are looked up piece by piece.
    """
    if k < 1:
        raise UserError(f"k={k}: give the number of tokens to look back, 1 or more")
    windows = Windows.of(sequences, k)
    largest = int(windows.stream.max())
    bits = max(1, largest.bit_length())
    levels: list[Level] = []
    used = 0
    while used < k:
        tokens = min(k - used, (KEY_BITS - windows.rank_bits) // bits)
        keys = windows.keys(used, tokens, bits)
        sort_distinct(keys)
        windows.rank(keys, used, tokens, bits)
        levels.append(Level.of(torch.from_numpy(keys), tokens, bits))
        used += tokens
    pairs = windows.keys(k, 1, bits)
    del windows  # 9 bytes a token, before more are needed
    sort_distinct(pairs)
    offsets, followers = rows_of(pairs, len(levels[-1].keys), bits)
    return CitationIndex(
        k=k,
        bits=bits,
        largest=largest,
        levels=tuple(levels),
        offsets=torch.from_numpy(offsets),
        followers=torch.from_numpy(followers),
    )


@dataclass
class Windows:
    """Every k + 1 tokens in a row of the corpus, and the rank of the first few of them."""

    stream: NDArray[np.int32]
    """[tokens]: all sequences, one after the other."""
    begins: NDArray[np.bool_]
    """[tokens]: whether k + 1 tokens of one sequence begin here: a window."""
    ranks: NDArray[np.int32]
    """[windows]: equal for equal tokens, as far as they are ranked; 0 at first."""
    rank_bits: int = 0
    """Bits of the largest rank."""

    @classmethod
    def of(cls, sequences: Tensor | Iterable[Any], k: int) -> "Windows":
        """The windows of a corpus. Raises UserError if it has none."""
        stream, ends = joined(sequences)
        begins = np.ones(len(stream), np.bool_)
        for back in range(1, k + 1):
            # of a sequence shorter than that, this marks the last tokens of the one before, which are marked already
            begins[np.maximum(ends[ends > 0] - back, 0)] = False
        count = int(np.count_nonzero(begins))
        if not count:
            raise UserError(f"k={k}: no sequence has more than {k} tokens; give a smaller k or longer sequences")
        return cls(stream, begins, np.zeros(count, np.int32))

    def pieces(self) -> Iterator[tuple[slice, NDArray[np.int64]]]:
        """(which windows, where in the stream they begin), some windows at a time."""
        done = 0
        for piece in pieces(len(self.stream)):
            places = piece.start + np.flatnonzero(self.begins[piece])
            yield slice(done, done + len(places)), places
            done += len(places)

    def keys(self, first: int, tokens: int, bits: int) -> NDArray[np.int64]:
        """int64[windows]: rank, then the tokens from ``first`` on, packed."""
        keys = np.empty(len(self.ranks), np.int64)
        for some, places in self.pieces():
            keys[some] = self._packed(some, places, first, tokens, bits)
        return keys

    def rank(self, distinct: NDArray[np.int64], first: int, tokens: int, bits: int) -> None:
        """Rank the windows by their keys' places among the distinct ones."""
        for some, places in self.pieces():
            packed = self._packed(some, places, first, tokens, bits)
            order = np.argsort(packed)  # neighbours in the search stay neighbours in memory
            ranks = np.empty(len(order), np.int32)
            ranks[order] = np.searchsorted(distinct, packed[order])
            self.ranks[some] = ranks
        self.rank_bits = (len(distinct) - 1).bit_length()

    def _packed(self, some: slice, places: NDArray[np.int64], first: int, tokens: int, bits: int) -> NDArray[np.int64]:
        packed = self.ranks[some].astype(np.int64)
        for place in range(first, first + tokens):
            packed <<= bits
            packed |= self.stream[places + place]
        return packed


def joined(sequences: Tensor | Iterable[Any]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """(int32[tokens] of all sequences in a row, int64[sequences]: where each ends)."""
    stream = np.empty(0, np.int32)  # grown in place: pieces to be joined would stay behind as holes in memory
    used = 0
    lengths: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    whole = isinstance(sequences, Tensor | np.ndarray) and sequences.ndim == 2
    for number, given in enumerate([sequences] if whole else sequences):
        try:
            chunk = np.asarray(given.cpu() if isinstance(given, Tensor) else given)
            problem = fault(chunk)
        except ValueError as error:  # lists of several lengths within one item
            problem = f"{error}; give sequences of different lengths one by one"
        if problem:
            raise UserError(f"sequences, item {number}: {problem}")
        if used + chunk.size > MOST:
            raise UserError(f"sequences: more than {MOST} tokens; index a part of them")
        if used + chunk.size > len(stream):
            stream.resize(max(used + chunk.size, len(stream) * 5 // 4), refcheck=False)
        stream[used : used + chunk.size] = chunk.reshape(-1)
        used += chunk.size
        lengths.append(np.full(1 if chunk.ndim == 1 else len(chunk), chunk.shape[-1], np.int64))
    stream.resize(used, refcheck=False)
    return stream, np.cumsum(np.concatenate(lengths))


def fault(chunk: NDArray[Any]) -> str | None:
    """What forbids to take an array for one or more sequences of token ids."""
    if chunk.ndim not in (1, 2) or (chunk.size and not np.issubdtype(chunk.dtype, np.integer)):
        return (
            f"is {chunk.dtype}{list(chunk.shape)}; give integers, one sequence [length] or several [sequences, length]"
        )
    if chunk.size and not 0 <= chunk.min() <= chunk.max() < MOST:
        return f"holds {chunk.min()} to {chunk.max()}; token ids are 0 to {MOST - 1}"
    return None


def sort_distinct(keys: NDArray[np.int64]) -> None:
    """Sort, drop what is there twice, and shorten: all in place."""
    keys.sort()
    kept = 0
    last = None
    for piece in pieces(len(keys)):
        some = keys[piece].copy()
        new = np.append(some[0] != last, some[1:] != some[:-1])
        last = some[-1]
        count = int(np.count_nonzero(new))
        keys[kept : kept + count] = some[new]
        kept += count
    keys.resize(kept, refcheck=False)


def rows_of(pairs: NDArray[np.int64], rows: int, bits: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """(int32[rows + 1] offsets, int32[pairs] followers) of sorted pairs (row, follower), none of the rows empty."""
    offsets = np.zeros(rows + 1, np.int32)
    followers = np.empty(len(pairs), np.int32)
    for piece in pieces(len(pairs)):
        row, followers[piece] = pairs[piece] >> bits, pairs[piece] & ((1 << bits) - 1)
        offsets[row + 1] = np.arange(piece.start + 1, piece.stop + 1)  # of equal indices the last one counts
    return offsets, followers


def pieces(length: int) -> Iterator[slice]:
    """Slices of at most PIECE that cover ``length``."""
    for start in range(0, length, PIECE):
        yield slice(start, min(start + PIECE, length))
