"""Numbers that are drawn: estimates as the files of a run have them, and marks with their error bars."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

Found = dict[str, Any]
"""One study's part of mechanism.json, or an estimate in it."""


def value(known: Found) -> float:
    """The value of an estimate, NaN where it is undefined."""
    return math.nan if known["value"] is None else float(known["value"])


def exact(number: float) -> Found:
    """A number without an interval, as an estimate."""
    return {"value": number, "low": None, "high": None}


@dataclass(frozen=True)
class Mark:
    """One value that is drawn."""

    series: str
    at: float
    """Along the panel's axis of places."""
    value: float
    low: float | None
    high: float | None


def arms(marks: Sequence[Mark]) -> list[list[float]]:
    """Lengths of the error bars below and above; 0 where there is no interval."""
    return [
        [0.0 if mark.low is None else max(0.0, mark.value - mark.low) for mark in marks],
        [0.0 if mark.high is None else max(0.0, mark.high - mark.value) for mark in marks],
    ]
