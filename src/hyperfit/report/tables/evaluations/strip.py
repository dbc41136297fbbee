"""Base, hyperfitted and human texts as bars, a measure each: the first thing that a reader sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import style_of
from hyperfit.report.tables.evaluations.summary import HUMAN, Results, compared, found

BARS = {
    "loop_share": "Texts that end in a loop",
    "ttr": "Type–token ratio",
    "word_share": "Words that are words",
    "long_overlap_share": f"Texts copying over {LONG_OVERLAP} tokens",
}
"""Measures between 0 and 1, and their titles."""


@dataclass(frozen=True)
class Bar:
    """One value, between 0 and 1."""

    kind: str
    """base, hyperfitted or human"""
    name: str
    """What it is called."""
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
    return strips_of([(kind, kind, measures) for kind, measures in compared(evaluation).items()])


def strips_of(rows: Sequence[tuple[str, str, Results]]) -> list[Strip]:
    """A strip a measure that is defined for a model. rows: kind (base, hyperfitted or human), name and measures."""
    drawn = []
    for key, title in BARS.items():
        bars = [
            Bar(kind, name, style_of(key).told(known.value), known)
            for kind, name, of in rows
            for known in (found(of, key),)
        ]
        if any(not math.isnan(bar.known.value) for bar in bars if bar.kind != HUMAN):
            drawn.append(Strip(title, bars))
    return drawn


def percent(share: float) -> str:
    """A share as CSS takes it."""
    return "0%" if math.isnan(share) else f"{100 * min(max(share, 0), 1):.1f}%"
