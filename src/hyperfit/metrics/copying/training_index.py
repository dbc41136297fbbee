"""An index of the training data that finds, for any text, what of it stands there."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfit.metrics.text.ngrams import Ints, joined


@dataclass(frozen=True)
class Matches:
    """Of each token of a text, the longest run from it on that stands inside one training sequence."""

    length: Ints
    """int64[tokens]: tokens of the run; 0 if the token does not occur"""
    low: Ints
    """int64[tokens]: first place in the index's order of a suffix that begins with the run"""
    high: Ints
    """int64[tokens]: the place after the last"""


class TrainingIndex:
    """A suffix array of training sequences (Manber and Myers, 1990), built once; exact, and no run crosses two of them.

    Memory is 16 bytes a token, and some six times that while it is built.
    """

    def __init__(self, training: Sequence[Sequence[int]]) -> None:
        self.stream, _ = joined(training)
        ends = np.flatnonzero(self.stream < 0)
        # each end differs from all others, so that sorting never looks beyond it
        self.stream[ends] = -1 - np.arange(len(ends))
        self.starts: Ints = np.concatenate([[0], ends + 1])[:-1] if len(ends) else ends
        """Where each sequence begins in the stream"""
        self.order = suffix_array(self.stream)
        """Where the suffixes of the stream begin, in the suffixes' own order"""

    def matches(self, texts: Sequence[Sequence[int]]) -> list[Matches]:
        """The matches of each text; all texts together, token by token, in binary searches."""
        stream, _ = joined(texts)
        absent = np.iinfo(np.int64).min
        stream[stream < 0] = absent
        length, low, high = np.zeros((3, len(stream)), np.int64)
        high[:] = len(self.order)
        growing, reach = np.arange(len(stream)), 0
        while len(growing):
            token = stream[growing + reach]
            first = self._place(token, reach, low[growing], high[growing])
            after = self._place(token + 1, reach, first, high[growing])
            found = first < after
            growing, reach = growing[found], reach + 1
            length[growing], low[growing], high[growing] = reach, first[found], after[found]
        cuts = np.cumsum([len(tokens) + 1 for tokens in texts])[:-1]
        rows = zip(*(np.split(part, cuts) for part in (length, low, high)), strict=True) if texts else ()
        return [Matches(*(part[:-1] for part in row)) for row in rows]

    def _place(self, token: Ints, reach: int, low: Ints, high: Ints) -> Ints:
        """First place in [low, high) whose suffix has a token >= ``token`` at ``reach``; high if there is none."""
        low, high = low.copy(), high.copy()
        searching = np.flatnonzero(low < high)
        while len(searching):
            middle = (low[searching] + high[searching]) // 2
            smaller = self.stream[self.order[middle] + reach] < token[searching]
            low[searching[smaller]] = middle[smaller] + 1
            high[searching[~smaller]] = middle[~smaller]
            searching = searching[low[searching] < high[searching]]
        return low

    def first_place(self, low: int, high: int) -> tuple[int, int]:
        """(training sequence, token within it) of the first suffix, in the order of training, of order[low:high]."""
        place = int(self.order[low:high].min())
        document = int(np.searchsorted(self.starts, place, side="right")) - 1
        return document, place - int(self.starts[document])


def suffix_array(stream: Ints) -> Ints:
    """int64[stream]: where the suffixes begin, sorted. The runs of 1, 2, 4, ... tokens are ranked, until no two tie."""
    size = len(stream)
    if not size:
        return np.zeros(0, np.int64)
    rank, width = ranks(stream), 1
    while rank.max() + 1 < size:
        second = np.full(size, -1, np.int64)
        second[:-width] = rank[width:]
        rank, width = ranks(rank * (size + 1) + second + 1), 2 * width
    order = np.empty(size, np.int64)
    order[rank] = np.arange(size)
    return order


def ranks(values: Ints) -> Ints:
    """int64[values]: each value's place among the different values."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)
