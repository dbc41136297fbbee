"""Measures of texts taken together, which are no mean over texts, with jackknife intervals.

A bootstrap would draw some texts twice, and so count as repetition between texts what is none.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from hyperfit.metrics.estimate import LEVEL, Estimate
from hyperfit.metrics.text.compression import compression_ratio

GROUPS = 20
"""Parts of which one at a time is left out, where each text by itself would take too long."""


def distinct_ngrams(texts: Sequence[Sequence[int]], n: int) -> Estimate:
    """Different n-grams / n-grams of all texts together: in (0, 1], 1 if none repeats in any or between two.

    It falls as texts are added, so only equal numbers of texts of equal length compare. NaN if no text
    has an n-gram. n counts the texts that have one. Interval: each text left out in turn.
    Source: distinct-n of Li et al. (2016), who divide by the tokens instead.
    """
    owner: dict[tuple[int, ...], int] = {}
    texts = [tokens for tokens in texts if len(tokens) >= n]
    for text, tokens in enumerate(texts):
        for ngram in set(zip(*(tokens[start:] for start in range(n)), strict=False)):
            owner[ngram] = -1 if ngram in owner else text  # -1: held by several, stays if one is left out
    holders = np.fromiter(owner.values(), np.int64, len(owner))
    only_here = np.bincount(holders[holders >= 0], minlength=len(texts))
    ngrams = np.array([len(tokens) - n + 1 for tokens in texts], np.int64)
    if not len(texts):
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = len(owner) / int(ngrams.sum())
    if len(texts) == 1:
        return Estimate(value, math.nan, math.nan, 1)
    return jackknife(value, (len(owner) - only_here) / (ngrams.sum() - ngrams), len(texts), highest=1)


def compression(texts: Sequence[str]) -> Estimate:
    """``compression_ratio`` of all texts together: the higher, the more they repeat themselves and each other.

    NaN for no bytes. Interval: a twentieth of the texts left out in turn. Only about equal numbers of
    texts of about equal length compare.
    """
    value, groups = compression_ratio(texts), min(GROUPS, len(texts))
    if groups < 2 or math.isnan(value):
        return Estimate(value, math.nan, math.nan, len(texts))
    without = [compression_ratio([x for i, x in enumerate(texts) if i % groups != part]) for part in range(groups)]
    return jackknife(value, np.array(without), len(texts))


def jackknife(value: float, without: ArrayLike, n: int, highest: float = math.inf, lowest: float = 0.0) -> Estimate:
    """A statistic with the interval that it has from its values ``without`` one of the equal parts of the data.

    value ± t x standard error, whose square is (parts - 1) / parts x the sum of squared deviations of
    those values from their mean (Tukey, 1958; Shao and Wu, 1989), cut to [lowest, highest].
    NaN ends if a value is undefined.
    """
    rest = np.asarray(without, np.float64)
    error = math.sqrt((len(rest) - 1) * float(rest.var()))
    reach = float(stdtrit(len(rest) - 1, (1 + LEVEL) / 2)) * error
    return Estimate(value, max(value - reach, lowest), min(value + reach, highest), n)
