"""How varied a text is: type-token ratio and n-gram repetition, on token ids."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

TTR_WINDOW = 96
"""Tokens at the end of a continuation on which the type-token ratio is taken."""


def type_token_ratio(tokens: Sequence[int], window: int = TTR_WINDOW) -> float:
    """Different tokens / tokens over the last ``window`` tokens: in (0, 1], 1 if no token repeats.

    A text shorter than the window is undefined (NaN), as ratios of different lengths do not compare.
    Source: reference code of Carlsson et al. (2025).
    """
    if len(tokens) < window:
        return math.nan
    last = tokens[len(tokens) - window :]
    return len(set(last)) / window


def ttr_curve(tokens: Sequence[int], window: int = TTR_WINDOW, step: int = TTR_WINDOW) -> list[tuple[int, float]]:
    """(end, type-token ratio of the ``window`` tokens before it), every ``step`` tokens along one text.

    The first end is ``window``, and the ends do not depend on the text's length, so that the curves
    of several texts can be averaged end by end. Empty for a text shorter than the window.
    Source: the long-range figure of Carlsson et al. (2025); their step is not known.
    """
    ratios = window_types(tokens, window)[::step] / window
    return [(window + step * place, float(ratio)) for place, ratio in enumerate(ratios)]


def window_types(tokens: Sequence[int], window: int) -> NDArray[np.int64]:
    """int64[tokens - window + 1]: different tokens in each window of ``window`` tokens (1 or more), from left to right.

    Empty for a text shorter than the window. Linear in the text, whatever the window: token j is the
    first of its kind in just those windows that begin after its last occurrence before j.
    """
    if window < 1:
        raise ValueError(f"a window has at least 1 token, not {window}")
    windows = len(tokens) - window + 1
    if windows < 1:
        return np.zeros(0, np.int64)
    last_seen: dict[int, int] = {}
    before = np.empty(len(tokens), np.int64)
    for place, token in enumerate(tokens):
        before[place] = last_seen.get(token, -1)
        last_seen[token] = place
    ends = np.arange(len(tokens))
    first = np.maximum(before, ends - window) + 1
    after = np.minimum(ends, windows - 1) + 1
    counted = first < after
    change = np.bincount(first[counted], minlength=windows + 1) - np.bincount(after[counted], minlength=windows + 1)
    return np.cumsum(change)[:windows].astype(np.int64)


def ngram_repetition(tokens: Sequence[int], n: int) -> float:
    """1 - different n-grams / n-grams of the whole text: in [0, 1), 0 if no n-gram repeats.

    NaN for a text shorter than n. Source: rep-n of Welleck et al. (2020), as Li et al. (2026) use it.
    """
    return 1 - distinct_share(tokens, n)


def distinct_share(tokens: Sequence[int], n: int) -> float:
    """Different n-grams / n-grams of one text: in (0, 1], 1 if no n-gram repeats; NaN for a text shorter than n.

    Source: distinct-n of Li et al. (2016), who divide by the tokens instead; of many texts together
    see ``pooled.distinct_ngrams``.
    """
    grams = len(tokens) - n + 1
    return len(set(zip(*(tokens[start:] for start in range(n)), strict=False))) / grams if grams > 0 else math.nan


def diversity(tokens: Sequence[int]) -> float:
    """Product of the shares of different 2-, 3- and 4-grams, 1 - rep-n: in (0, 1], 1 if no bigram repeats.

    NaN for a text shorter than 4 tokens. Source: Su et al. (2022), as Li et al. (2026) define it.
    """
    return math.prod(distinct_share(tokens, n) for n in (2, 3, 4))
