"""Means over contexts and seeds, with intervals that know of both; many comparisons at once."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate, estimate, share_estimate

Floats = NDArray[np.float64]
"""[seeds, contexts]; NaN where a measure is undefined."""


def pooled(values: Floats, transform: Callable[[float], float] = float, level: float = LEVEL) -> Estimate:
    """``transform`` of the mean over seeds and contexts, with its interval; n counts contexts.

    Percentile bootstrap of two crossed factors: seeds are drawn, and contexts are drawn, with replacement, and every
    pair of a drawn seed and a drawn context counts (Owen 2007, The pigeonhole bootstrap; a little conservative). 2,000
    resamples, fixed seed. One seed: over contexts alone, as ``hyperfit.metrics.estimate``. NaN values are left out.
    ``transform`` must be increasing.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    known = ~np.isnan(values)
    if not known.any():
        return Estimate(math.nan, math.nan, math.nan, 0)
    contexts = int(known.any(0).sum())
    if len(values) == 1 and level == LEVEL:
        return estimate(values[0], transform)
    value = transform(float(values[known].mean()))
    if np.ptp(values[known]) == 0 or contexts == 1:
        return Estimate(value, value if contexts > 1 else math.nan, value if contexts > 1 else math.nan, contexts)
    means = resampled(values)
    low, high = np.quantile(means[~np.isnan(means)], [(1 - level) / 2, (1 + level) / 2])
    return Estimate(value, transform(float(low)), transform(float(high)), contexts)


def resampled(values: Floats) -> Floats:
    """RESAMPLES means of float64[seeds, contexts], of drawn seeds and drawn contexts."""
    rng, (seeds, contexts) = np.random.default_rng(0), values.shape
    of_seeds = rng.multinomial(seeds, [1 / seeds] * seeds, RESAMPLES).astype(float)
    of_contexts = rng.multinomial(contexts, [1 / contexts] * contexts, RESAMPLES).astype(float)
    known = ~np.isnan(values)
    sums = np.einsum("rs,sc,rc->r", of_seeds, np.where(known, values, 0), of_contexts)
    counts = np.einsum("rs,sc,rc->r", of_seeds, known.astype(float), of_contexts)
    with np.errstate(invalid="ignore"):
        return np.asarray(sums / counts, dtype=np.float64)


def pooled_share(hits: Floats) -> Estimate:
    """Share of hits (0 or 1) over seeds and contexts; Wilson's interval of one seed where all are alike."""
    hits = np.atleast_2d(np.asarray(hits, dtype=np.float64))
    known = hits[~np.isnan(hits)]
    if len(hits) == 1 or not len(known) or np.ptp(known) == 0:
        return share_estimate(hits[0].tolist())
    return pooled(hits)


def difference(first: Floats, second: Floats, comparisons: int = 1) -> Estimate:
    """Mean of first minus second over the same contexts, seed by seed; of means over seeds if these differ in number.

    comparisons: how many are looked at together; the interval then holds for all of them at once (Bonferroni).
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"pairs need the same contexts, not {first.shape[1]} and {second.shape[1]}")
    if len(first) != len(second):
        first, second = (np.nanmean(each, 0, keepdims=True) for each in (first, second))
    return pooled(first - second, level=1 - (1 - LEVEL) / comparisons)
