"""Does the change of the last layers cause the diversity? Swap, scale and undo it, and continue the same contexts."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.decode.generate import continue_contexts
from hyperfit.errors import UserError
from hyperfit.measure.diversity import TTR_WINDOW, ngram_repetition, type_token_ratio
from hyperfit.measure.estimate import Estimate, estimate, paired_difference
from hyperfit.measure.sharpness import sharpness
from hyperfit.mechanism.capture import block_point, captured
from hyperfit.mechanism.edits import Edit, edited, edits
from hyperfit.mechanism.mixture import mixed
from hyperfit.mechanism.moments import moments, plain_ratio
from hyperfit.mechanism.pair import Pair

Values = NDArray[np.float64]
Curve = Literal["graft", "restore", "scale", "keep", "remove", "random", "random-variance", "undo", "turned"]

OUTCOMES: dict[str, str] = {
    "ttr": f"type-token ratio of the last {TTR_WINDOW} generated tokens",
    "bigram_repetition": "1 - different bigrams / bigrams of the continuation",
    "entropy": "nats, mean over the positions of the human texts",
    "loss": "nats per token on the human texts",
}
"""What each point of a curve is measured by. The first two are of greedy continuations, one value per context."""


@dataclass(frozen=True, kw_only=True)
class InterventionSettings:
    """Which points to try. Each costs one greedy continuation of every context and one pass over the human texts."""

    scales: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    """Strengths of the last blocks' update."""
    scaled_blocks: int | None = None
    """How many blocks, from the last, have their update scaled; None for all that differ."""
    ranks: tuple[int, ...] = ()
    """Directions to keep or remove; empty for 1/32, 1/8, 1/4 and 1/2 of the width."""
    amounts: tuple[float, ...] = (0.5, 1.0)
    """Shares of the way by which the added spread is undone."""
    new_tokens: int = TTR_WINDOW
    """Tokens of each continuation."""
    skip: int = 32
    """The first token of the human texts that counts."""
    batch_size: int = 32
    """Contexts continued at a time."""
    seed: int = 0
    """Of the random directions."""

    def __post_init__(self) -> None:
        """Raises UserError with every problem."""
        problems = [f"--removed {rank}: give 1 or more" for rank in self.ranks if rank < 1]
        problems += [f"--amounts {share}: give 0 to 1" for share in self.amounts if not 0 <= share <= 1]
        problems += [f"--scales {scale}: give a finite number" for scale in self.scales if not math.isfinite(scale)]
        least = {"new_tokens": TTR_WINDOW, "scaled_blocks": 1, "skip": 1, "batch_size": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                problems.append(f"--{name.replace('_', '-')} {value}: give {bound} or more")
        if problems:
            raise UserError(*problems)


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
            return f"No verdict: hyperfitting did not raise the type-token ratio here ({_signed(gain)})."
        if not self.curve("undo"):
            return "No verdict: undoing the expansion was not tried (no amounts)."
        undone, control = self.curve("undo")[-1], self.curve("turned")[-1]
        lost, specific = self.difference(undone, self.tuned), self.difference(undone, control)
        cost = self.difference(undone, self.tuned, "loss")
        said = (
            f"The gain in type-token ratio is {_signed(gain)}. At the last block's output training changed the "
            f"participation ratio from {self.dim_base:.1f} to {self.dim_tuned:.1f} and the variance by a factor of "
            f"{self.variance:.2f}. With {undone.amount:.0%} of that undone, {self.surviving(undone):.0%} of the gain "
            f"survives ({_signed(lost)} against the tuned model); with every state moved as far in a random direction, "
            f"{self.surviving(control):.0%}. The loss on human text moves by {_signed(cost)} nats."
        )
        if self.dim_tuned <= self.dim_base and self.variance <= 1:
            return f"{said} So there is no terminal expansion in this pair that could cause the gain."
        if cost.low > BROKEN:
            return f"{said} The edit breaks the model, so that the curves do not answer the question."
        if lost.high < 0 and specific.high < 0:
            return f"{said} So the change of spread carries part of the gain: {1 - self.surviving(undone):.0%} of it."
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
                f"{self.surviving(point):.0%} of the gain in type-token ratio."
            )
        for point in self.curve("remove")[:1]:
            control, energy = self.at("random", point.amount), self.at("random-variance", point.amount)
            assert point.edit is not None
            said.append(
                f"Without the {point.amount:.0f} directions in which spread grew most "
                f"({1 - point.edit.variance:.0%} of the variance) {self.surviving(point):.0%} survives; without as "
                f"many random directions {self.surviving(control):.0%}, without random directions of as much variance "
                f"{self.surviving(energy):.0%}."
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


def _signed(value: Estimate) -> str:
    return f"{value.value:+.3f} [{value.low:+.3f}, {value.high:+.3f}]"


def intervene(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    human: Tensor,
    settings: InterventionSettings | None = None,
    *,
    advance: Callable[[int], None] = lambda done: None,
) -> Intervention:
    """Try every point of the curves.

    contexts: token ids to continue greedily. human: int64[texts, length], on which entropy, loss and the covariances of
    the last block's output are taken. Models that are the same by construction are run once. advance: called with 1
    after each model that was run; ``points_to_run`` says how many there are. Raises UserError for a rank beyond the
    width or more scaled blocks than the model has.
    """
    settings = settings or InterventionSettings()
    plan = swaps(pair, settings)
    problems = []
    width = pair.tuned.config.hidden_size
    problems += [f"--removed {rank}: the model is {width} wide" for rank in settings.ranks if rank > width]
    if settings.scaled_blocks and settings.scaled_blocks > pair.depth:
        problems.append(f"--scaled-blocks {settings.scaled_blocks}: the model has {pair.depth} blocks")
    if problems:
        raise UserError(*problems)
    last = block_point(pair.depth - 1)
    with captured(pair, human, skip=settings.skip, points=(last,)) as states:
        before, after = moments(lambda: states.side("base", last)), moments(lambda: states.side("tuned", last))

    def measured(altered: AbstractContextManager[PreTrainedModel | PeftModel]) -> dict[str, Values]:
        with altered as model:
            outcomes = _outcomes(model, tokenizer, contexts, human, settings)
        advance(1)
        return outcomes

    shared = pair.shared_blocks
    known: dict[tuple[float, ...], dict[str, Values]] = {}
    points = []
    for curve, amount, weights in plan:
        key = canonical(weights, shared)
        if key not in known:
            known[key] = measured(mixed(pair, weights))
        points.append(Point(curve, amount, known[key]))
    for edit in edits(before, after, ranks_of(settings, width), settings.amounts, seed=settings.seed):
        points.append(Point(edit.kind, edit.amount, measured(edited(pair.tuned, edit)), edit))
    ends = {point.amount: point for point in points if point.curve == "graft"}
    return Intervention(
        base=ends[0],
        tuned=ends[pair.depth],
        points=tuple(points),
        depth=pair.depth,
        dim_base=plain_ratio(before.covariance),
        dim_tuned=plain_ratio(after.covariance),
        variance=float(after.covariance.trace() / before.covariance.trace()),
        settings=settings,
    )


def swaps(pair: Pair, settings: InterventionSettings) -> list[tuple[Curve, float, tuple[float, ...]]]:
    """(curve, amount, weight of each block) for every mixture of the two models, n from 0 to depth.

    graft: the base with the tuned last n blocks. restore: the tuned model with the base's last n blocks. scale: the
    tuned model with the update of its last blocks at another strength.
    """
    depth = pair.depth
    plan: list[tuple[Curve, float, tuple[float, ...]]] = []
    for n in range(depth + 1):
        plan.append(("graft", n, (0.0,) * (depth - n) + (1.0,) * n))
        plan.append(("restore", n, (1.0,) * (depth - n) + (0.0,) * n))
    late = settings.scaled_blocks or depth
    plan += [("scale", scale, (1.0,) * (depth - late) + (scale,) * late) for scale in settings.scales]
    return plan


def canonical(weights: Sequence[float], shared: int) -> tuple[float, ...]:
    """The weights that matter where the first ``shared`` blocks are the same: mixtures equal in them are one model."""
    return tuple(weights[min(shared, len(weights) - 1) :])


def points_to_run(pair: Pair, settings: InterventionSettings | None = None) -> int:
    """How many models ``intervene`` will run."""
    settings = settings or InterventionSettings()
    shared = pair.shared_blocks
    mixtures = {canonical(weights, shared) for _, _, weights in swaps(pair, settings)}
    ranks = ranks_of(settings, pair.tuned.config.hidden_size)
    return len(mixtures) + 4 * len(ranks) + 2 * len(settings.amounts)


def ranks_of(settings: InterventionSettings, width: int) -> tuple[int, ...]:
    """The ranks to try for a model of a width."""
    return settings.ranks or tuple(dict.fromkeys(max(1, width // part) for part in (32, 8, 4, 2)))


def _outcomes(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    human: Tensor,
    settings: InterventionSettings,
) -> dict[str, Values]:
    texts = continue_contexts(
        model, tokenizer, contexts, new_tokens=settings.new_tokens, batch_size=settings.batch_size
    )
    seen = sharpness(model, human, skip=settings.skip)
    return {
        "ttr": np.array([type_token_ratio(text) for text in texts]),
        "bigram_repetition": np.array([ngram_repetition(text, 2) for text in texts]),
        "entropy": seen.entropy,
        "loss": seen.loss,
    }
