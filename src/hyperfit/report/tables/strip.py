"""Base, hyperfitted and human texts as bars, a measure each: the first thing that a reader sees."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.metrics.estimate import Estimate
from hyperfit.report.tables.summary import Results, compared, found, short, whole

BARS: tuple[tuple[str, str, Callable[[float], str]], ...] = (
    ("loop_share", "Texts that end in a loop", whole),
    ("ttr", "Type–token ratio", short),
    ("word_share", "Words that are words", whole),
    ("long_overlap_share", f"Texts copying over {LONG_OVERLAP} tokens", whole),
)
"""Measures between 0 and 1: key, title, how a value is written."""


@dataclass(frozen=True)
class Bar:
    """One value, between 0 and 1."""

    name: str
    """base, hyperfitted or human"""
    shown: str
    """The value as it is written; "–" where it is undefined."""
    known: Estimate

    @property
    def length(self) -> str:
        """The bar's, in percent of the longest."""
        return percent(self.known.value)

    @property
    def span(self) -> tuple[str, str] | None:
        """Where the interval begins and how long it is, in the same; None without one."""
        low, high = self.known.low, self.known.high
        return None if math.isnan(low) or math.isnan(high) else (percent(low), percent(high - low))


@dataclass(frozen=True)
class Strip:
    """The bars of one measure."""

    title: str
    bars: list[Bar]


def strips(evaluation: Results) -> list[Strip]:
    """A strip a measure that is defined for a model; none unless both models wrote by one decoding."""
    measures = compared(evaluation)
    drawn = []
    for key, title, show in BARS:
        known = {name: found(one, key) for name, one in measures.items()}
        if any(not math.isnan(one.value) for name, one in known.items() if name != "human"):
            drawn.append(Strip(title, [Bar(name, show(one.value), one) for name, one in known.items()]))
    return drawn


def percent(share: float) -> str:
    """A share as CSS takes it."""
    return "0%" if math.isnan(share) else f"{100 * min(max(share, 0), 1):.1f}%"
