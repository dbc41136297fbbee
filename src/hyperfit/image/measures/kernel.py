"""How far completions are from real continuations as a whole, in the features of a model: kernel inception distance."""

import math

import numpy as np
from numpy.typing import NDArray

from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.pooled import jackknife

Floats = NDArray[np.float64]
DEGREE = 3
FEWEST = 3
"""Pictures of each kind below which there is no interval."""


def kernel_distance(made: Floats, real: Floats) -> Estimate:
    """Kernel inception distance of float64[pictures, features] of completions from those of the originals, in pairs.

    The squared maximum mean discrepancy under k(x, y) = (x·y / features + 1)³ (Bińkowski et al. 2018), 0 on average
    where both are of one distribution, and larger the more they differ. The unbiased estimate for pairs (Gretton et al.
    2012, lemma 6): the mean over i ≠ j of k(xᵢ, xⱼ) + k(yᵢ, yⱼ) - k(xᵢ, yⱼ) - k(xⱼ, yᵢ), so that what a completion
    shares with its own original, the part that was given, does not count. It may be below 0. Only values under the same
    features compare. Interval: each pair left out in turn. NaN for fewer than two pairs.
    """
    n = len(made)
    if n < 2:
        return Estimate(math.nan, math.nan, math.nan, n)
    cross = kernel(made, real)
    terms = kernel(made, made) + kernel(real, real) - cross - cross.T
    np.fill_diagonal(terms, 0)
    value = float(terms.sum() / (n * (n - 1)))
    if n < FEWEST:
        return Estimate(value, math.nan, math.nan, n)
    without = (terms.sum() - 2 * terms.sum(axis=1)) / ((n - 1) * (n - 2))
    return jackknife(value, without, n, lowest=-math.inf)


def kernel(one: Floats, other: Floats) -> Floats:
    """float64[rows of one, rows of other]: (x·y / features + 1)³."""
    return np.asarray((one @ other.T / one.shape[1] + 1) ** DEGREE)
