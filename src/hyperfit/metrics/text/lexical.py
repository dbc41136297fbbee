"""Lexical diversity that depends little on a text's length: MATTR, MTLD and HD-D.

Their literature counts words; here they are taken on token ids, so their values compare with each
other under one tokenizer, and not with published ones on words.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from hyperfit.metrics.text.diversity import window_types

MATTR_WINDOW = 50
"""Tokens of a window of the moving average."""
MTLD_THRESHOLD = 0.72
"""Type-token ratio at which a factor is complete."""
HDD_DRAWS = 42
"""Tokens drawn."""


def mattr(tokens: Sequence[int], window: int = MATTR_WINDOW) -> float:
    """Moving-average type-token ratio: mean over all windows of ``window`` tokens; in [1 / window, 1].

    NaN for a text shorter than the window. Source: Covington and McFall (2010).
    """
    types = window_types(tokens, window)
    return float(types.mean()) / window if len(types) else math.nan


def mtld(tokens: Sequence[int], threshold: float = MTLD_THRESHOLD) -> float:
    """Mean length, in tokens, of runs whose type-token ratio stays above ``threshold``; forwards and backwards, mean.

    Tokens / factors. A factor is complete as soon as the ratio of the tokens since the last one is at
    most the threshold; the rest counts as (1 - its ratio) / (1 - threshold) of a factor. At least 2,
    as no factor is shorter, and without an upper bound. NaN for a text in which no token repeats, as
    it has no factors. Unsteady below about 100 tokens. Source: McCarthy and Jarvis (2010).
    """
    if len(set(tokens)) == len(tokens):
        return math.nan
    both = (factors(tokens, threshold), factors(reversed(tokens), threshold))
    return sum(len(tokens) / count for count in both) / 2


def factors(tokens: Iterable[int], threshold: float) -> float:
    """How many factors of MTLD a text has, read in the order given; above 0 if a token repeats."""
    complete, length, seen = 0, 0, set[int]()
    for token in tokens:
        length += 1
        seen.add(token)
        if len(seen) / length <= threshold:
            complete, length, seen = complete + 1, 0, set()
    rest = (1 - len(seen) / length) / (1 - threshold) if length else 0.0
    return complete + rest


def hdd(tokens: Sequence[int], draws: int = HDD_DRAWS) -> float:
    """HD-D: expected type-token ratio of ``draws`` tokens drawn without replacement; in [1 / draws, 1].

    Sum over types of P(drawn at least once) / draws, where P is hypergeometric. NaN for a text shorter
    than the draws. Source: McCarthy and Jarvis (2007).
    """
    if len(tokens) < draws:
        return math.nan
    # types that occur equally often are drawn with equal probability
    times, types = np.unique(list(Counter(tokens).values()), return_counts=True)
    left = len(tokens) - np.arange(draws)
    # the factor of 0, where a type cannot be missed, comes before the negative ones
    never_drawn = np.prod((left - times[:, None]) / left, axis=1)
    return float(types @ (1 - never_drawn)) / draws
