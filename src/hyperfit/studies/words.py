"""Numbers of studies in words."""

import math

from hyperfit.metrics.estimate import Estimate
from hyperfit.studies.study import Answer


def answer(off: Estimate, least: float = 0.0) -> Answer:
    """Whether a difference is above ``least``: Yes or No if its whole interval says so, else Partly.

    Not shown where it is undefined or has no interval.
    """
    if math.isnan(off.low) or math.isnan(off.high):
        return "Not shown"
    return "Yes" if off.low > least else "No" if off.high <= least else "Partly"
