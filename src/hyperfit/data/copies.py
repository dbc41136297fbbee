"""Which texts are the same, and which are near-copies of each other: what must not stand on both sides of a split."""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RUN = 16
"""Letters in a row that are compared; three or four English words."""
LEAST = 100
"""Runs that two texts must share, unless all of the shorter one stands in the other; some twenty-five words."""

Hashes = NDArray[np.uint64]
Places = NDArray[np.int64]


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
    common = held_by_several(runs)
    places = [places_in(common, each) for each in runs]
    holders = Holders.among(places, len(common))
    order = sorted(range(len(texts)), key=lambda index: len(runs[index]), reverse=True)
    before = np.zeros(len(texts), bool)
    inside = np.zeros(len(common), bool)
    group = np.arange(len(texts))
    for one in order:
        needed = min(len(runs[one]), max(LEAST, -(-len(runs[one]) // 2)))
        if 0 < needed <= len(places[one]):
            # who holds as many as are needed holds one of the first of them: what many texts share is not looked up
            rare_first = places[one][np.argsort(holders.count[places[one]], kind="stable")]
            some = holders.of(rare_first[: len(rare_first) - needed + 1])
            inside[places[one]] = True
            for other in some[before[some]]:
                if group[other] != group[one] and np.count_nonzero(inside[places[other]]) >= needed:
                    group[group == group[one]] = group[other]
            inside[places[one]] = False
        before[one] = True
    return [int(number) for number in group]


@dataclass(frozen=True)
class Holders:
    """Which texts hold each of the runs that several texts hold."""

    texts: NDArray[np.int32]
    """Those of one run after those of the other."""
    count: NDArray[np.int64]
    """How many each run has."""
    end: NDArray[np.int64]
    """Where those of each run end."""

    @classmethod
    def among(cls, places: Sequence[Places], runs: int) -> "Holders":
        """places: of each text the runs that it holds, numbers below ``runs``."""
        every = np.concatenate([*places, np.zeros(0, np.int64)])
        texts = np.repeat(np.arange(len(places), dtype=np.int32), [len(each) for each in places])
        count = np.bincount(every, minlength=runs)
        return cls(texts[np.argsort(every, kind="stable")], count, np.cumsum(count))

    def of(self, places: Places) -> NDArray[np.int64]:
        """int64[some]: the texts that hold one of the runs."""
        found = np.zeros(self.texts.max(initial=-1) + 1, bool)
        for end, count in zip(self.end[places].tolist(), self.count[places].tolist(), strict=True):
            found[self.texts[end - count : end]] = True
        return np.flatnonzero(found)


def held_by_several(runs: Sequence[Hashes]) -> Hashes:
    """The different runs that more than one text holds, sorted. As a rule they are few, and quick to search."""
    every = np.concatenate([*runs, np.zeros(0, np.uint64)])
    every.sort()
    return np.unique(every[1:][every[1:] == every[:-1]])


def places_in(common: Hashes, runs: Hashes) -> Places:
    """int64[some]: where those of the runs stand that are in ``common``."""
    places = np.searchsorted(common, runs)
    places[places == len(common)] = 0
    return places[common[places] == runs] if len(common) else places[:0]


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
