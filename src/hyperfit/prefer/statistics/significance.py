"""Whether a difference is shown, and how many more judgements would show it."""

import math
from dataclasses import dataclass
from statistics import NormalDist

from scipy.special import stdtr
from scipy.stats import binomtest

from hyperfit.metrics.estimate import LEVEL
from hyperfit.prefer.statistics.shares import Shares

ALIKE = 6
"""Least number of independent judgements that all agree and show a difference: 2 · 0.5⁶ < 0.05 ≤ 2 · 0.5⁵."""
POWER = 0.8
"""How often a study of the size needed would show a difference of the size seen."""


@dataclass(frozen=True)
class Significance:
    """Tests of the null hypothesis that both conditions of a pair are preferred equally often."""

    p_binomial: float
    """Two-sided, of the judgements that are not ties, as if each were independent of all others."""
    p: float
    """Two-sided, of the difference over its error by annotators and contexts (Student's t): the one to trust."""
    needed: int | None
    """Judgements with which a difference of the size seen is shown with a probability of POWER. None: none is seen."""
    more: int | None
    """How many of these are still to be made."""


def significance(found: Shares) -> Significance:
    """Tests and power of one pair's shares.

    needed = (z(1 − α/2) + z(power))² · n · variance / difference², where n · variance is the variance of a single
    judgement times the design effect: it holds if annotators and contexts are added in the proportion that there is.
    Where all agree nothing varies, every context counts once, as in their interval, and ALIKE contexts are needed.
    """
    n = found.preferred.n
    won, lost = round(found.preferred.value * n), round(found.other_preferred.value * n)
    binomial = float(binomtest(won, won + lost).pvalue) if won + lost else math.nan
    difference = found.difference.value
    if not difference:
        return Significance(binomial, 1.0, None, None)
    if not found.variance > 0:
        alike = float(binomtest(found.contexts, found.contexts).pvalue)
        needed = math.ceil(n * ALIKE / found.contexts)
        return Significance(binomial, alike, needed, max(0, needed - n))
    p = 2 * float(stdtr(found.degrees, -abs(difference) / math.sqrt(found.variance)))
    sure = NormalDist().inv_cdf((1 + LEVEL) / 2) + NormalDist().inv_cdf(POWER)
    needed = math.ceil(sure**2 * n * found.variance / difference**2)
    return Significance(binomial, p, needed, max(0, needed - n))
