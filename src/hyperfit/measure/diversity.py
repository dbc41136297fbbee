"""How varied a text is: type-token ratio and n-gram repetition, on token ids."""

import math
from collections.abc import Sequence

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


def ngram_repetition(tokens: Sequence[int], n: int) -> float:
    """1 - different n-grams / n-grams of the whole text: in [0, 1), 0 if no n-gram repeats.

    NaN for a text shorter than n. Source: rep-n of Welleck et al. (2020), as Li et al. (2026) use it.
    """
    grams = [tuple(tokens[start : start + n]) for start in range(len(tokens) - n + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else math.nan
