"""The Pareto front: what nothing else beats in both of two numbers at once."""

import math
from collections.abc import Sequence


def dominates(one: tuple[float, float], other: tuple[float, float]) -> bool:
    """Whether (gain, price) one is as good as the other in both, and better in one; False where any is NaN."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """Of each (gain, price), more gain and less price being better: whether no other dominates it.

    A point with a NaN is never on the front, and keeps none off. Equal points are on it together.
    """
    known = [point for point in points if not any(map(math.isnan, point))]
    return [point in known and not any(dominates(other, point) for other in known) for point in points]
