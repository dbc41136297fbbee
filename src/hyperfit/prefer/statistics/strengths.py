"""All conditions on one scale, from comparisons of two at a time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import choix
import numpy as np
from scipy.sparse.csgraph import connected_components

from hyperfit.metrics.estimate import Estimate
from hyperfit.prefer.judgement import HUMAN, Judgement
from hyperfit.prefer.statistics.clusters import Floats, plain_interval, spread

RESAMPLES = 200
"""Of each way of resampling: every one fits the model anew."""
PRIOR = 0.01
"""Added to the rate of each win, so that a condition that never wins in a resample has a finite strength there."""


@dataclass(frozen=True)
class Strength:
    """One condition in the model of Bradley and Terry; n counts its judgements."""

    log_odds: Estimate
    """Of winning against the reference; 0 for the reference itself."""
    wins: Estimate
    """The probability of winning against the reference that this says: 0 to 1."""


def strengths(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> tuple[str, dict[str, Strength]]:
    """(reference, condition → strength), the strongest first.

    P(i wins against j) = 1 / (1 + exp(s_j − s_i)) (Bradley and Terry, 1952, Biometrika 39, 324–345), fitted by maximum
    likelihood (choix), a tie as half a win of both; intervals over annotators and contexts. The reference is human, or
    the first condition. A condition that wins or loses all comparisons that link it with the reference, or that none
    links, has no finite strength: NaN. Empty without judgements.
    """
    every = list(dict.fromkeys(name for one in judgements for name in (one.first, one.second)))
    reference = HUMAN if HUMAN in every else (every or [""])[0]
    names = linked(judgements, every, reference)
    inside = [one for one in judgements if one.first in names and one.second in names]
    if not inside:
        return reference, {name: unknown(name, judgements) for name in every}
    features, count, base = wins_of(inside, names), len(names), names.index(reference)

    def fitted(sums: Floats) -> Floats:
        return np.stack([strength_of(row.reshape(count, count), base) for row in sums])

    found = spread(inside, features, fitted, resamples=resamples)
    known = {name: unknown(name, judgements) for name in every if name not in names}
    for place, name in enumerate(names):
        n = sum(name in (one.first, one.second) for one in judgements)
        value, variance, degrees = (float(part[place]) for part in (found.value, found.variance, found.degrees))
        exact = Estimate(0.0, 0.0, 0.0, n)
        log_odds = exact if name == reference else plain_interval(value, variance, degrees, n)
        known[name] = Strength(
            log_odds, Estimate(chance(log_odds.value), chance(log_odds.low), chance(log_odds.high), n)
        )
    return reference, dict(sorted(known.items(), key=lambda one: order(one[1].log_odds.value)))


def linked(judgements: Sequence[Judgement], names: Sequence[str], reference: str) -> list[str]:
    """The conditions that both win and lose against the reference, directly or by way of others, and itself."""
    if not names:
        return []
    wins = wins_of(judgements, names).sum(axis=0).reshape(len(names), len(names))
    _, groups = connected_components(wins, directed=True, connection="strong")
    return [name for name, group in zip(names, groups, strict=True) if group == groups[names.index(reference)]]


def unknown(name: str, judgements: Sequence[Judgement]) -> Strength:
    """Of a condition without a finite strength."""
    nothing = Estimate(math.nan, math.nan, math.nan, sum(name in (one.first, one.second) for one in judgements))
    return Strength(nothing, nothing)


def order(log_odds: float) -> float:
    """Strongest first, and last what is not known."""
    return math.inf if math.isnan(log_odds) else -log_odds


def wins_of(judgements: Sequence[Judgement], names: Sequence[str]) -> Floats:
    """float[judgements, names · names]: who won (row) against whom (column), half for both in a tie."""
    places = {name: place for place, name in enumerate(names)}
    wins = np.zeros((len(judgements), len(names), len(names)))
    for row, one in enumerate(judgements):
        first, second = places[one.first], places[one.second]
        share = {"first": 1.0, "equal": 0.5, "second": 0.0}[one.choice]
        wins[row, first, second] += share
        wins[row, second, first] += 1 - share
    return wins.reshape(len(judgements), -1)


def strength_of(wins: Floats, base: int) -> Floats:
    """float[conditions]: log-odds against the condition ``base``; NaN where the fit does not converge."""
    try:
        fitted = choix.ilsr_pairwise_dense(wins, alpha=PRIOR)
    except RuntimeError:
        return np.full(len(wins), np.nan)
    return np.asarray(fitted - fitted[base], dtype=np.float64)


def chance(log_odds: float) -> float:
    """The probability that log-odds stand for."""
    return 0.0 if log_odds < -700 else 1 / (1 + math.exp(-log_odds))
