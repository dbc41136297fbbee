"""How often one condition of a pair is preferred to the other, or judged equal to it."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from hyperfit.metrics.estimate import RESAMPLES, Estimate
from hyperfit.prefer.judgement import HUMAN, Choice, Judgement
from hyperfit.prefer.statistics.clusters import Floats, plain_interval, share_interval, spread

CHOICES: tuple[Choice, ...] = ("first", "equal", "second")
Pair = tuple[str, str]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Shares:
    """What was chosen of the two conditions of a pair; n counts judgements."""

    preferred: Estimate
    equal: Estimate
    other_preferred: Estimate
    preferred_or_equal: Estimate
    """The figure of Carlsson et al. (2025)."""
    difference: Estimate
    """Preferred minus other preferred: −1 to 1."""
    annotators: int
    contexts: int
    design_effect: float
    """Of the difference: by which factor annotators and contexts raise its variance."""
    variance: float
    """Of the difference."""
    degrees: float
    """Of freedom, of this variance."""


def oriented(judgements: Sequence[Judgement]) -> list[Judgement]:
    """The same judgements, those of one pair of conditions in one order: as it comes first, but with human second."""
    order: dict[frozenset[str], Pair] = {}
    for one in judgements:
        pair = (one.second, one.first) if one.first == HUMAN else (one.first, one.second)
        order.setdefault(frozenset(pair), pair)
    return [
        one if order[frozenset((one.first, one.second))] == (one.first, one.second) else turned(one)
        for one in judgements
    ]


def turned(one: Judgement) -> Judgement:
    """A judgement with first and second exchanged."""
    other: dict[Choice, Choice] = {"first": "second", "second": "first", "equal": "equal"}
    return replace(
        one,
        first=one.second,
        second=one.first,
        choice=other[one.choice],
        swapped=not one.swapped,
        expected=None if one.expected is None else other[one.expected],
        questions={question: other[answer] for question, answer in one.questions.items()},
    )


def by_pair(judgements: Sequence[Judgement]) -> dict[Pair, list[Judgement]]:
    """Pair of conditions → its judgements."""
    return grouped(judgements, lambda one: (one.first, one.second))


def grouped(judgements: Sequence[Judgement], key: Callable[[Judgement], Key]) -> dict[Key, list[Judgement]]:
    """Key → its judgements, in the order in which they come."""
    found: dict[Key, list[Judgement]] = defaultdict(list)
    for one in judgements:
        found[key(one)].append(one)
    return dict(found)


def length_of(one: Judgement) -> int:
    """The power of two, 32 or more, up to which context and continuation reach: 128 and 256 in Carlsson et al."""
    return max(32, 1 << (one.tokens - 1).bit_length()) if one.tokens > 0 else 32


def one_hot(judgements: Sequence[Judgement]) -> Floats:
    """float[judgements, 3]: 1 at the choice, in the order of CHOICES."""
    places = [CHOICES.index(one.choice) for one in judgements]
    return np.eye(len(CHOICES))[np.asarray(places, dtype=np.int64)]


def figures(sums: Floats) -> Floats:
    """float[..., 5]: preferred, equal, other preferred, preferred or equal, difference, of counts by choice."""
    with np.errstate(invalid="ignore", divide="ignore"):
        first, equal, second = np.moveaxis(sums / sums.sum(axis=-1, keepdims=True), -1, 0)
    return np.stack([first, equal, second, first + equal, first - second], axis=-1)


def shares(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> Shares:
    """Of one pair's judgements the share of each choice, with intervals over annotators and contexts."""
    found = spread(judgements, one_hot(judgements), figures, resamples=resamples)
    annotators, contexts = len({one.judge for one in judgements}), len({one.context for one in judgements})
    numbers = list(zip(found.value, found.variance, found.degrees, strict=True))
    preferred, equal, other, either = (
        share_interval(float(value), float(variance), float(degrees), len(judgements), contexts)
        for value, variance, degrees in numbers[:4]
    )
    value, variance, degrees = map(float, numbers[4])
    difference = Estimate(value, preferred.low - other.high, preferred.high - other.low, len(judgements))
    if variance > 0:  # else all agree, and what is left is how sure that is of a share
        difference = plain_interval(value, variance, degrees, len(judgements))
    return Shares(
        preferred,
        equal,
        other,
        either,
        replace(difference, low=max(-1.0, difference.low), high=min(1.0, difference.high)),
        annotators,
        contexts,
        float(found.design_effect[4]),
        variance,
        degrees,
    )


def opponents_compared(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> dict[Pair, Estimate]:
    """(condition, other condition) → how much oftener the first is preferred or equal to the same opponent, human.

    Of two the base model's is the other one. Annotators and contexts may be the same for both, which the interval takes
    into account. Empty unless several conditions were
    compared with the human texts.
    """
    conditions = [first for first, second in by_pair(judgements) if second == HUMAN]
    compared: dict[Pair, Estimate] = {}
    for place, later in enumerate(conditions):
        for earlier in conditions[:place]:
            one, other = (earlier, later) if later.startswith("base/") else (later, earlier)
            rows = [row for row in judgements if row.second == HUMAN and row.first in (one, other)]
            compared[one, other] = difference_of(rows, one, resamples)
    return compared


def difference_of(rows: Sequence[Judgement], condition: str, resamples: int) -> Estimate:
    """Share of "preferred or equal" of the condition minus that of the other one."""
    own = np.asarray([row.first == condition for row in rows], dtype=np.float64)
    hits = np.asarray([row.choice != "second" for row in rows], dtype=np.float64)

    def minus(sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3])[..., None]

    features = np.stack([own * hits, own, (1 - own) * hits, 1 - own], axis=1)
    found = spread(rows, features, minus, resamples=resamples)
    return plain_interval(float(found.value[0]), float(found.variance[0]), float(found.degrees[0]), len(rows))


def question_shares(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> Mapping[str, Shares]:
    """Further question → shares of its answers, of one pair's judgements."""
    names = dict.fromkeys(question for one in judgements for question in one.questions)
    return {
        name: shares(
            [replace(one, choice=one.questions[name]) for one in judgements if name in one.questions],
            resamples=resamples,
        )
        for name in names
    }
