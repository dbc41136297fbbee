"""Which texts are the same, and which are near-copies of each other: what must not stand on both sides of a split."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RUN = 16
"""Letters in a row that are compared; three or four English words."""
LEAST = 100
"""Runs that two texts must share, unless all of the shorter one stands in the other; some twenty-five words."""

Hashes = NDArray[np.uint64]


def normal_form(text: str) -> str:
    """What two texts have in common if they are the same: Unicode NFKC, each white space or line end one space."""
    return " ".join(unicodedata.normalize("NFKC", text).split())


def near_copies(texts: Sequence[str]) -> list[int]:
    """For each text the index of a text that stands for its group; near-copies of each other are in one group.

    A text is a near-copy of another if at least half of its runs of 16 letters, and at least 100 of them, stand in the
    other too; a text of fewer runs only if all of them do, one of fewer than 16 letters only if the other is no more.
    Letters and digits count, without case and accents, and no white space or punctuation; each different run counts
    once. So edited copies are found, and excerpts, and a text of which half is another's; one that shares a quotation
    is not. Near-copies of near-copies are in one group too, and nothing else is. Runs are compared by 64-bit hashes, in
    a fixed way. Time and memory grow with the letters, and with the square of how many near-copies one text has.
    """
    runs = [runs_of(text) for text in texts]
    every, holding = np.unique(np.concatenate(runs or [np.zeros(0, np.uint64)]), return_counts=True)
    group = list(range(len(texts)))
    holders: dict[int, list[int]] = defaultdict(list)
    known: dict[int, set[int]] = {}

    def representative(one: int) -> int:
        while group[one] != one:
            one = group[one] = group[group[one]]
        return one

    for one in sorted(range(len(texts)), key=lambda index: len(runs[index]), reverse=True):
        places = np.searchsorted(every, runs[one])
        places = places[holding[places] > 1]
        shared: list[int] = places[np.argsort(holding[places], kind="stable")].tolist()  # rare ones first
        needed = min(len(runs[one]), max(LEAST, -(-len(runs[one]) // 2)))
        known[one] = set(shared)
        if 0 < needed <= len(shared):
            # who holds as many as are needed holds one of the first of them: what many texts share is not looked up
            some = shared[: len(shared) - needed + 1]
            for other in dict.fromkeys(holder for run in some for holder in holders[run]):
                apart = representative(other) != representative(one)
                if apart and len(known[one] & known[other]) >= needed:
                    group[representative(one)] = representative(other)
        for run in shared:
            holders[run].append(one)
    return [representative(one) for one in range(len(texts))]


def runs_of(text: str) -> Hashes:
    """uint64[runs]: hashes of the different runs of letters, sorted; a shorter text is one run, no letters are none."""
    letters = re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", text).casefold())  # \W: combining accents, too
    if not letters:
        return np.zeros(0, np.uint64)
    codes = np.frombuffer(letters.encode("utf-32-le"), np.uint32).astype(np.uint64)
    hashes = np.pad(codes, (0, max(0, RUN - len(codes))))
    width = 1
    while width < RUN:
        hashes = hashes[:-width] * np.uint64(0x9E3779B97F4A7C15) + hashes[width:]
        hashes = (hashes ^ (hashes >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
        width *= 2
    return np.unique(hashes)
