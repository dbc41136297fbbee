"""Numbers of studies in words."""

from hyperfit.metrics.estimate import Estimate


def between(known: Estimate, how: str = ".3f") -> str:
    """[low, high]"""
    return f"[{known.low:{how}}, {known.high:{how}}]"
