"""A measurement: a value, its 95 % interval, and the n behind both."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binomtest, bootstrap

RESAMPLES = 2000
LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A statistic over n units (texts), with the ends of its interval. NaN where undefined."""

    value: float
    low: float
    high: float
    n: int

    def to_dict(self) -> dict[str, float | int | None]:
        """Plain values; None stands for NaN, which JSON does not have."""
        return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, float | int | None]) -> "Estimate":
        """The inverse of to_dict."""
        value, low, high = (
            math.nan if values[key] is None else float(values[key] or 0) for key in ("value", "low", "high")
        )
        return cls(value, low, high, int(values["n"] or 0))


def estimate(values: Sequence[float] | ArrayLike, transform: Callable[[float], float] = float) -> Estimate:
    """``transform`` of the mean of one value per text, with its interval over resampled texts.

    Percentile bootstrap, 2,000 resamples, fixed seed (scipy.stats.bootstrap). ``transform`` must be
    increasing (exp for perplexity). NaN values are texts on which the measure is undefined: they are
    left out and do not count in n. No value left: all NaN. One: no interval.
    """
    data: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
    data = data[~np.isnan(data)]
    if len(data) == 0:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = transform(float(data.mean()))
    if len(data) == 1:
        return Estimate(value, math.nan, math.nan, 1)
    if np.all(data == data[0]):
        return Estimate(value, value, value, len(data))
    interval = bootstrap(
        (data,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Estimate(value, transform(float(interval.low)), transform(float(interval.high)), len(data))


def paired_difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Mean of first minus second, text by text, with its interval over resampled texts; both of one length."""
    if len(first) != len(second):
        raise ValueError(f"pairs need two lists of one length, not {len(first)} and {len(second)}")
    return estimate(np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64))


def share_estimate(hits: Sequence[float]) -> Estimate:
    """Share of the texts that are hits (values 0 or 1), with Wilson's 95 % interval (scipy.stats.binomtest).

    A bootstrap of 0 hits in 72 texts would claim a share of exactly 0; this interval says at most 5 %.
    NaN values are texts on which the measure is undefined; they are left out and do not count in n.
    """
    known = [hit for hit in hits if not math.isnan(hit)]
    if not known:
        return Estimate(math.nan, math.nan, math.nan, 0)
    result = binomtest(int(sum(known)), len(known))
    interval = result.proportion_ci(confidence_level=LEVEL, method="wilson")
    return Estimate(float(result.statistic), float(interval.low), float(interval.high), len(known))


def paired_share_difference(first: Sequence[float], second: Sequence[float], level: float = LEVEL) -> Estimate:
    """Share of hits (0 or 1) in first minus that in second, text by text, with the interval of Agresti and Min.

    They take Wald's interval after adding half a text to each of the four cells (2005, Statistics in Medicine 24,
    729–740), so that no hit anywhere does not claim a difference of exactly 0. Texts of which either is NaN are left
    out and do not count in n.
    """
    if len(first) != len(second):
        raise ValueError(f"pairs need two lists of one length, not {len(first)} and {len(second)}")
    gaps = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    gaps = gaps[~np.isnan(gaps)]
    if not len(gaps):
        return Estimate(math.nan, math.nan, math.nan, 0)
    won, lost, n = np.sum(gaps > 0) + 0.5, np.sum(gaps < 0) + 0.5, len(gaps) + 2
    half = NormalDist().inv_cdf((1 + level) / 2) * math.sqrt(won + lost - (won - lost) ** 2 / n) / n
    centre = (won - lost) / n
    return Estimate(float(gaps.mean()), float(max(-1, centre - half)), float(min(1, centre + half)), len(gaps))


def paired_differences(
    first: Mapping[str, Sequence[float]], second: Mapping[str, Sequence[float]], shares: Collection[str]
) -> dict[str, Estimate]:
    """Measure → first minus second, text by text, of every measure that both have; shares: those that are 0 or 1."""
    return {
        name: (paired_share_difference if name in shares else paired_difference)(values, second[name])
        for name, values in first.items()
        if name in second
    }
