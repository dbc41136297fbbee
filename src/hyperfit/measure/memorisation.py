"""How much of a text was copied: its longest run of tokens that stands in the training data."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LONG_OVERLAP = 10
"""Tokens; a text that shares a longer run with the training data counts as copying."""


def longest_overlaps(texts: Sequence[Sequence[int]], training: Sequence[Sequence[int]]) -> NDArray[np.int64]:
    """int64[texts]: tokens of the longest run of each text that also stands inside one training sequence.

    0 for a text that shares no token. Exact. All sequences, each closed by a token of its own, are
    sorted together as one suffix array; the training suffix that shares most with a given suffix is
    its nearest neighbour of either side.
    """
    sequences = [*training, *texts]
    if not texts or not training:
        return np.zeros(len(texts), np.int64)
    stream = np.concatenate([np.append(np.asarray(s, np.int64), -1 - i) for i, s in enumerate(sequences)])
    owner = np.repeat(np.arange(len(sequences)), [len(s) + 1 for s in sequences])
    ranks = doubled_ranks(stream)
    order = np.argsort(ranks[-1], kind="stable")
    is_training = owner[order] < len(training)
    places = np.arange(len(order))
    before = np.maximum.accumulate(np.where(is_training, places, -1))
    after = np.minimum.accumulate(np.where(is_training, places, len(order))[::-1])[::-1]
    longest = np.zeros(len(sequences), np.int64)
    mine = places[~is_training]
    for neighbour in (before[mine], after[mine]):
        found = (neighbour >= 0) & (neighbour < len(order))
        suffixes, others = order[mine[found]], order[neighbour[found]]
        np.maximum.at(longest, owner[suffixes], common_prefix(ranks, suffixes, others))
    return longest[len(training) :]


def doubled_ranks(stream: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Entry k ranks the runs of 2**k tokens that start at each place; the last entry has no ties.

    Prefix doubling (Manber and Myers, 1990); runs past the end count as smallest.
    """
    ranks = [np.unique(stream, return_inverse=True)[1].astype(np.int64)]
    while ranks[-1].max() + 1 < len(stream):
        width = 1 << (len(ranks) - 1)
        second = np.full(len(stream), -1, np.int64)
        second[:-width] = ranks[-1][width:]
        pairs = ranks[-1] * (len(stream) + 1) + second + 1
        ranks.append(np.unique(pairs, return_inverse=True)[1].astype(np.int64))
    return ranks


def common_prefix(
    ranks: list[NDArray[np.int64]], first: NDArray[np.int64], second: NDArray[np.int64]
) -> NDArray[np.int64]:
    """int64[pairs]: length of the common prefix of the suffixes that start at ``first`` and ``second``."""
    length = np.zeros(len(first), np.int64)
    size = len(ranks[0])
    for power in reversed(range(len(ranks))):
        left, right = first + length, second + length
        inside = (left < size) & (right < size)
        same = np.zeros(len(first), bool)
        same[inside] = ranks[power][left[inside]] == ranks[power][right[inside]]
        length[same] += 1 << power
    return length
