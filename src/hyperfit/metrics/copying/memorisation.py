"""How much of a text was copied: what runs of its tokens stand in the training data, and where."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfit.metrics.copying.training_index import Matches, TrainingIndex

LONG_OVERLAP = 10
"""Tokens; a text that shares a longer run with the training data counts as copying."""
PAPER_OVERLAP = 5.8
"""Tokens of the longest run, mean over the texts of hyperfitted models: table 2 of Carlsson et al. (2025)."""
PAPER_LONG_SHARE = 0.02
"""Share of those texts, at most, whose longest run is above LONG_OVERLAP."""
REMEDY = "more samples, a smaller --lr or --block-citations when generating"
"""What lowers both."""
LEAST_COPIED = 8
"""Tokens of the shortest run that is shown as copied."""
MOST_NOVEL = 10
"""Tokens of the longest n-grams of which the novel share is taken."""

Sequences = Sequence[Sequence[int]]


def longest_overlaps(texts: Sequences, training: Sequences | TrainingIndex) -> NDArray[np.int64]:
    """int64[texts]: tokens of the longest run of each text that also stands inside one training sequence.

    0 for a text that shares no token. Exact. ``training`` may be an index that is there already.
    """
    return np.array([longest_run(match) for match in indexed(training).matches(texts)], np.int64)


def copies_much(overlap: float, long_share: float) -> bool:
    """Whether the mean of the longest runs, or the share of texts with a long one, is above the paper's.

    Both as they were found, whatever their intervals: that of a few texts always reaches above.
    """
    return overlap > PAPER_OVERLAP or long_share > PAPER_LONG_SHARE


def longest_run(matches: Matches) -> int:
    """The longest of the runs of one text; 0 if there is none."""
    return int(matches.length.max(initial=0))


def novel_shares(texts: Sequences, training: Sequences | TrainingIndex, most: int = MOST_NOVEL) -> NDArray[np.float64]:
    """float64[texts, most]: of the n-grams of each text, n = 1 .. most, the share that is in no training sequence.

    In [0, 1], never falling with n: 1 if all are new. Each occurrence counts. Exact. NaN for a text
    shorter than n. Source: McCoy et al. (2023).
    """
    matches = indexed(training).matches(texts)
    return np.array([[novel_share(match, n) for n in range(1, most + 1)] for match in matches]).reshape(-1, most)


def novel_share(matches: Matches, n: int) -> float:
    """Share of a text's n-grams that no training sequence holds; NaN for a text shorter than n."""
    here = matches.length[: max(len(matches.length) - n + 1, 0)]
    return float((here < n).mean()) if len(here) else float("nan")


def indexed(training: Sequences | TrainingIndex) -> TrainingIndex:
    """The index of the training data, built unless it is one."""
    return training if isinstance(training, TrainingIndex) else TrainingIndex(training)


@dataclass(frozen=True)
class Span:
    """``text[start : start + length]`` is ``training[document][offset : offset + length]``."""

    start: int
    length: int
    document: int
    offset: int

    @property
    def end(self) -> int:
        """The token of the text after the last."""
        return self.start + self.length


def copied_spans(text: Sequence[int], training: Sequences | TrainingIndex, least: int = LEAST_COPIED) -> list[Span]:
    """All maximal copied runs of at least ``least`` tokens (1 or more), from left to right.

    Maximal: no longer run of the text that holds it stands in the training data. No two have one start
    or one end, none holds another, and two may overlap; a token is in one of them exactly if it is in
    a copied run of ``least`` tokens. Each names the first training sequence that has it, and the first
    place there.
    """
    index = indexed(training)
    (found,) = index.matches([text])
    # the run from a token that the run from the token before already holds is one token shorter
    maximal = np.append(True, found.length[1:] >= found.length[:-1])[: len(text)]
    return [
        Span(int(start), int(found.length[start]), *index.first_place(int(found.low[start]), int(found.high[start])))
        for start in np.flatnonzero(maximal & (found.length >= max(least, 1)))
    ]


def copied_pieces(
    text: Sequence[int],
    training: Sequences | TrainingIndex,
    decode: Callable[[Sequence[int]], str],
    least: int = LEAST_COPIED,
) -> list[tuple[str, int | None]]:
    """The text in pieces, each with the training sequence that it is copied from, or None; for people to read.

    The pieces concatenate to ``decode(text)``. Where two copied runs overlap, the second piece begins
    where the first ends. ``decode`` makes text of token ids; as it may write a token otherwise in
    another company, only what it makes of the text's beginnings decides where a piece ends, and a
    character made of several tokens belongs to the piece of its last.
    """
    whole = decode(text)

    def characters(tokens: int) -> int:
        beginning = decode(text[:tokens])
        same = (place for place, (one, other) in enumerate(zip(beginning, whole, strict=False)) if one != other)
        return next(same, min(len(beginning), len(whole))) if tokens < len(text) else len(whole)

    pieces: list[tuple[str, int | None]] = []
    done = 0
    for span in copied_spans(text, training, least):
        for end, document in ((span.start, None), (span.end, span.document)):
            upto = max(characters(end), done)
            pieces.append((whole[done:upto], document))
            done = upto
    return [(piece, document) for piece, document in [*pieces, (whole[done:], None)] if piece]
