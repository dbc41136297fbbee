"""What the interventions gave: the curves, and what they say of the cause."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperfit.mechanism.intervention.edits import Edit
from hyperfit.mechanism.intervention.settings import InterventionSettings
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT, RATIO, TENTHS, THOUSANDTHS

Values = NDArray[np.float64]
Curve = Literal["graft", "restore", "scale", "keep", "remove", "random", "random-variance", "undo", "turned"]
OUTCOMES: dict[str, str] = {
    "ttr": f"type-token ratio of the last {TTR_WINDOW} generated tokens",
    "bigram_repetition": "1 - different bigrams / bigrams of the continuation",
    "entropy": "nats, mean over the positions of the human texts",
    "loss": "nats per token on the human texts",
}
"""What each point of a curve is measured by. The first two are of greedy continuations, one value per context."""


@dataclass(frozen=True)
class Point:
    """One altered model."""

    curve: Curve
    amount: float
    """Blocks for graft and restore, strength for scale; otherwise as Edit.amount."""
    outcomes: dict[str, Values]
    """OUTCOMES → float64[contexts or texts]"""
    edit: Edit | None = None

    def __getitem__(self, outcome: str) -> Estimate:
        """One of OUTCOMES, with its interval."""
        return estimate(self.outcomes[outcome])

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        edit = self.edit and {"dim": self.edit.dim, "variance": self.edit.variance, "moved": self.edit.moved}
        return {
            "curve": self.curve,
            "amount": self.amount,
            **(edit or {}),
            **{name: self[name].to_dict() for name in OUTCOMES},
        }


@dataclass(frozen=True)
class Intervention:
    """The curves, and what they say of the cause."""

    base: Point
    tuned: Point
    points: tuple[Point, ...]
    depth: int
    """Blocks of the model."""
    dim_base: float
    """Participation ratio of the last block's output on the human texts, before the final norm."""
    dim_tuned: float
    variance: float
    """The tuned model's variance there over the base's."""
    settings: InterventionSettings = field(repr=False)

    def curve(self, name: Curve) -> list[Point]:
        """The points of one curve, by amount."""
        return sorted((point for point in self.points if point.curve == name), key=lambda point: point.amount)

    def at(self, name: Curve, amount: float) -> Point:
        """One point. Raises KeyError if it was not tried."""
        return {point.amount: point for point in self.curve(name)}[amount]

    def difference(self, one: Point, other: Point, outcome: str = "ttr") -> Estimate:
        """One minus the other, paired over contexts or texts."""
        return paired_difference(one.outcomes[outcome].tolist(), other.outcomes[outcome].tolist())

    def surviving(self, point: Point) -> float:
        """Share of the tuned model's gain in type-token ratio that a point still has: 1 as tuned, 0 as the base.

        NaN if there is no gain whose interval lies above 0.
        """
        gain = self.difference(self.tuned, self.base)
        if not gain.low > 0:
            return math.nan
        return self.difference(point, self.base).value / gain.value

    def blocks_needed(self, share: float = 0.5) -> int | None:
        """The fewest last blocks that, put on the base, carry ``share`` of the gain; None if none do."""
        points = (point for point in self.curve("graft") if self.surviving(point) >= share)
        return next((int(point.amount) for point in points), None)

    def verdict(self) -> str:
        """Whether the terminal expansion causes the diversity in this pair, by rule, in numbers.

        The deciding edit is ``undo`` at its largest amount: it gives the last block's output the base's covariance.
        Its control moves every state as far, in a random direction. The expansion *carries* the gain as far as the
        edit takes diversity that the control does not take (both paired intervals below 0); it *does not* if the
        edited model's loss of diversity is, at the end of its interval, under a quarter of the gain. Nothing is
        concluded where hyperfitting brought no gain, or where the edit costs more than half a nat on human text
        against the tuned model, as type-token ratio then no longer speaks of a working model.
        """
        gain = self.difference(self.tuned, self.base)
        if not gain.low > 0:
            return f"No verdict: hyperfitting did not raise the type-token ratio here ({RATIO.within(gain, '+')})."
        if not self.curve("undo"):
            return "No verdict: undoing the expansion was not tried (no amounts)."
        undone, control = self.curve("undo")[-1], self.curve("turned")[-1]
        lost, specific = self.difference(undone, self.tuned), self.difference(undone, control)
        cost = self.difference(undone, self.tuned, "loss")
        said = (
            f"The gain in type-token ratio is {RATIO.within(gain, '+')}. At the last block's output training changed "
            "the "
            f"participation ratio from {TENTHS.told(self.dim_base)} to {TENTHS.told(self.dim_tuned)} and the variance "
            "by a factor of "
            f"{HUNDREDTHS.told(self.variance)}. With {PERCENT.told(undone.amount)} of that undone, "
            f"{PERCENT.told(self.surviving(undone))} of the gain "
            f"survives ({RATIO.within(lost, '+')} against the tuned model); with every state moved as far in a random "
            "direction, "
            f"{PERCENT.told(self.surviving(control))}. The loss on human text moves by "
            f"{THOUSANDTHS.within(cost, '+')} nats."
        )
        if self.dim_tuned <= self.dim_base and self.variance <= 1:
            return f"{said} So there is no terminal expansion in this pair that could cause the gain."
        if cost.low > BROKEN:
            return f"{said} The edit breaks the model, so that the curves do not answer the question."
        if lost.high < 0 and specific.high < 0:
            share = PERCENT.told(1 - self.surviving(undone))
            return f"{said} So the change of spread carries part of the gain: {share} of it."
        if lost.low > -SPARED * gain.value:
            return f"{said} So the terminal expansion does not cause the gain in this pair."
        return f"{said} The intervals leave open whether the expansion causes it."

    def sentence(self) -> str:
        """Where the gain sits by the swaps, what the added directions carry, and the verdict."""
        said = []
        if (needed := self.blocks_needed()) is not None:
            point = self.at("graft", needed)
            said.append(
                f"The last {needed} of {self.depth} blocks, put on the base model, carry "
                f"{PERCENT.told(self.surviving(point))} of the gain in type-token ratio."
            )
        for point in self.curve("remove")[:1]:
            control, energy = self.at("random", point.amount), self.at("random-variance", point.amount)
            assert point.edit is not None
            said.append(
                f"Without the {COUNT(point.amount)} directions in which spread grew most "
                f"({PERCENT.told(1 - point.edit.variance)} of the variance) {PERCENT.told(self.surviving(point))} "
                "survives; without as "
                f"many random directions {PERCENT.told(self.surviving(control))}, without random directions of as "
                "much variance "
                f"{PERCENT.told(self.surviving(energy))}."
            )
        return " ".join([*([] if math.isnan(self.surviving(self.tuned)) else said), self.verdict()])

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "outcomes": OUTCOMES,
            "base": self.base.to_dict(),
            "tuned": self.tuned.to_dict(),
            "gain": self.difference(self.tuned, self.base).to_dict(),
            "dim_base": self.dim_base,
            "dim_tuned": self.dim_tuned,
            "variance": self.variance,
            "points": [
                {**point.to_dict(), "surviving": None if math.isnan(share := self.surviving(point)) else share}
                for point in self.points
            ],
            "verdict": self.verdict(),
        }


BROKEN = 0.5
"""Nats per token on human text above the tuned model's from which an edited model counts as broken."""
SPARED = 0.25
"""Share of the gain that an edit may take, at the end of its interval, and still be said not to touch it."""
