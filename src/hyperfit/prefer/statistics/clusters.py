"""How sure a figure is whose judgements hang together, by who judged and by what was read."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate
from hyperfit.prefer.judgement import Judgement

Floats = NDArray[np.float64]
Statistic = Callable[[Floats], Floats]
"""Sums float[resamples, features] over judgements → float[resamples, values]; NaN where undefined."""


@dataclass(frozen=True)
class Spread:
    """Figures and how they would vary over other annotators and other contexts; each float[values]."""

    value: Floats
    variance: Floats
    alone: Floats
    """The variance if every judgement were independent of all others."""
    degrees: Floats
    """Degrees of freedom of ``variance``, for Student's t."""

    @property
    def design_effect(self) -> Floats:
        """By which factor the clusters raise the variance; NaN where nothing varies."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(self.alone > 0, self.variance / self.alone, np.nan)


def spread(
    judgements: Sequence[Judgement],
    features: Floats,
    statistic: Statistic,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Spread:
    """A statistic of sums over judgements, with its variance by a two-way cluster bootstrap.

    features: float[judgements, features], what is summed. Annotators are resampled whole, contexts are resampled
    whole, and single judgements are; the variance is that of the first plus that of the second less that of the third,
    which both hold (Cameron, Gelbach and Miller, 2011, Journal of Business & Economic Statistics 29, 238–249), but no
    less than the third. To resample both at once instead (Owen, 2007) would count it three times. Where there is one
    annotator, or one context, the other alone counts. Degrees of freedom by Satterthwaite's formula.
    """
    rng = np.random.default_rng(seed)
    totals = features.sum(axis=0)
    value = statistic(totals[None])[0]
    alone, by_annotator, by_context = (
        resampled_variance(features, clusters, statistic, rng, resamples)
        for clusters in (None, [one.judge for one in judgements], [one.context for one in judgements])
    )
    ways = [one for one in (by_annotator, by_context) if one.clusters > 1]
    parts = [*ways, *([alone] if len(ways) != 1 else [])]
    variance = sum((one.variance for one in ways), np.zeros_like(value))
    variance = np.maximum(variance - alone.variance if len(ways) == 2 else variance, alone.variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        degrees = variance**2 / sum(one.variance**2 / max(one.clusters - 1, 1) for one in parts)
    return Spread(value, variance, alone.variance, np.clip(degrees, 1, max(len(judgements) - 1, 1)))


@dataclass(frozen=True)
class Resampled:
    """What one way of resampling gives."""

    variance: Floats
    clusters: int


def resampled_variance(
    features: Floats, clusters: Sequence[str] | None, statistic: Statistic, rng: np.random.Generator, resamples: int
) -> Resampled:
    """Bootstrap variance of a statistic over clusters drawn with replacement. clusters: None: every judgement is one.

    Judgements with the same features are the same to the statistic: as many of each kind are drawn, not each by itself.
    """
    if clusters is None:
        count = len(features)
        sums, kinds = np.unique(features, axis=0, return_counts=True)
        many = kinds.astype(np.float64)
    else:
        _, codes = np.unique(np.asarray(clusters), return_inverse=True)
        count = int(codes.max(initial=-1)) + 1
        sums = np.zeros((count, features.shape[1]))
        np.add.at(sums, codes, features)
        many = np.ones(count)
    if count < 2:
        return Resampled(np.zeros(statistic(features.sum(axis=0)[None]).shape[1]), count)
    found = statistic(rng.multinomial(count, many / count, size=resamples) @ sums)
    known = np.sum(~np.isnan(found), axis=0) > 1
    variance = np.full(found.shape[1], np.nan)
    variance[known] = np.nanvar(found[:, known], axis=0, ddof=1)
    return Resampled(variance * count / (count - 1), count)


def quantile(degrees: float) -> float:
    """Of Student's t, for an interval that covers as LEVEL says."""
    at = (1 + LEVEL) / 2
    return NormalDist().inv_cdf(at) if math.isinf(degrees) else float(stdtrit(degrees, at))


def share_interval(share: float, variance: float, degrees: float, judgements: int, contexts: int) -> Estimate:
    """A share with Wilson's interval at the number of independent judgements that has its variance.

    Where all agree nothing varies, and every context counts once. n is the number of judgements.
    """
    if math.isnan(share) or not judgements:
        return Estimate(math.nan, math.nan, math.nan, judgements)
    effective, t = float(contexts), quantile(math.inf)
    if variance > 0 and 0 < share < 1:
        effective, t = share * (1 - share) / variance, quantile(degrees)
    weight = t * t / effective
    centre = (share + weight / 2) / (1 + weight)
    half = t * math.sqrt(share * (1 - share) / effective + weight / effective / 4) / (1 + weight)
    return Estimate(share, min(share, centre - half), max(share, centre + half), judgements)


def plain_interval(value: float, variance: float, degrees: float, judgements: int) -> Estimate:
    """A value with Student's interval; without one where nothing varies. n is the number of judgements."""
    half = quantile(degrees) * math.sqrt(variance) if variance > 0 else math.nan
    return Estimate(value, value - half, value + half, judgements)
