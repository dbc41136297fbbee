"""Means over contexts and seeds, with intervals that know of both; many comparisons at once."""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hyperfit.metrics.estimate import LEVEL, Estimate, estimate, share_estimate

Floats = NDArray[np.float64]
"""[seeds, contexts]; NaN where a measure is undefined."""


def pooled(values: Floats, transform: Callable[[float], float] = float, level: float = LEVEL) -> Estimate:
    """``transform`` of the mean over seeds and contexts, with its interval; n counts contexts.

    Seeds and contexts are two crossed random factors. The variance of the mean is taken as that of the seeds' means
    over their number plus that of the contexts' means over theirs, and Student's interval with Satterthwaite's degrees
    of freedom (1946, Biometrics Bulletin 2, 110-114) around it. Their interaction counts twice, so that the interval
    is rather too wide; a bootstrap, which draws the same three seeds again, is much too narrow.
    One seed: percentile bootstrap over contexts alone, as ``hyperfit.metrics.estimate``. NaN values are left out.
    ``transform`` must be increasing.
    """
    values = np.atleast_2d(np.asarray(values, dtype=np.float64))
    known = ~np.isnan(values)
    values = values[known.any(1)][:, known.any(0)]
    if not values.size:
        return Estimate(math.nan, math.nan, math.nan, 0)
    seeds, contexts = values.shape
    if seeds == 1 and level == LEVEL:
        return estimate(values[0], transform)
    value = float(values[~np.isnan(values)].mean())
    if contexts == 1:
        return Estimate(transform(value), math.nan, math.nan, contexts)
    parts = [
        (float(np.var(means, ddof=1)) / len(means), len(means) - 1)
        for means in (np.nanmean(values, axis=1), np.nanmean(values, axis=0))
        if len(means) > 1
    ]
    low, high = around(value, parts, level)
    return Estimate(transform(value), transform(low), transform(high), contexts)


def around(value: float, parts: list[tuple[float, int]], level: float = LEVEL) -> tuple[float, float]:
    """(low, high) of a value whose variance is the sum of parts, each (variance, degrees of freedom)."""
    total = sum(variance for variance, _ in parts)
    if total == 0:
        return value, value
    freedom = total**2 / sum(variance**2 / free for variance, free in parts)
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(total)
    return value - half, value + half


def over_runs(values: list[float], comparisons: int = 1) -> Estimate:
    """Mean of one number a training, with Student's interval over trainings; no ends of fewer than two.

    comparisons: how many are looked at together; the interval then holds for all of them at once (Bonferroni).
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[~np.isnan(known)]
    if len(known) < 2:
        return Estimate(float(known[0]) if len(known) else math.nan, math.nan, math.nan, len(known))
    mean, variance = float(known.mean()), float(known.var(ddof=1)) / len(known)
    return Estimate(mean, *around(mean, [(variance, len(known) - 1)], corrected(comparisons)), len(known))


def corrected(comparisons: int) -> float:
    """The level of each of so many intervals that hold together with LEVEL (Bonferroni)."""
    return 1 - (1 - LEVEL) / max(comparisons, 1)


def pooled_share(hits: Floats) -> Estimate:
    """Share of hits (0 or 1) over seeds and contexts; Wilson's interval of one seed where all are alike."""
    hits = np.atleast_2d(np.asarray(hits, dtype=np.float64))
    known = hits[~np.isnan(hits)]
    if len(hits) == 1 or not len(known) or np.ptp(known) == 0:
        return share_estimate(hits[0].tolist())
    found = pooled(hits)
    return Estimate(found.value, max(0.0, found.low), min(1.0, found.high), found.n)


def difference(first: Floats, second: Floats, comparisons: int = 1) -> Estimate:
    """Mean of first minus second over the same contexts, seed by seed; one row stands against each row of the other.

    comparisons: how many are looked at together; the interval then holds for all of them at once (Bonferroni). Raises
    ValueError if contexts, or numbers of seeds above one, differ.
    """
    first, second = np.atleast_2d(first), np.atleast_2d(second)
    if first.shape[1] != second.shape[1]:
        raise ValueError(f"pairs need the same contexts, not {first.shape[1]} and {second.shape[1]}")
    if 1 not in (len(first), len(second)) and len(first) != len(second):
        raise ValueError(f"pairs need the same seeds, not {len(first)} and {len(second)}")
    return pooled(first - second, level=corrected(comparisons))
