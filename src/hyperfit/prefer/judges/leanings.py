"""What a judge's preference goes with: loops, length and repetition of the texts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate, share_estimate
from hyperfit.metrics.text.diversity import ngram_repetition
from hyperfit.metrics.text.loops import ends_in_loop
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT
from hyperfit.prefer.items.pairs import Pair
from hyperfit.runs.json_values import json_values

NGRAM = 3
"""Tokens of the n-grams whose repetition is taken."""
Measured = Mapping[str, Sequence[int]]
"""Text → its tokens."""


@dataclass(frozen=True)
class Leanings:
    """What the preference goes with, over pairs; each n counts pairs."""

    loops: Estimate
    """Of the pairs in which just one text ends in a loop: share in which that one is preferred, a tie as half."""
    length: Estimate
    """Spearman's ρ of the preference for the first text and how many tokens longer it is: −1 to 1."""
    repetition: Estimate
    """The same with how much more of its 3-grams repeat."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        return dict(json_values(asdict(self)))

    def sentences(self) -> list[str]:
        """In words."""
        lines = [
            f"The preference goes with length by ρ = {HUNDREDTHS.within(self.length, '+')} and with repetition by ρ = "
            f"{HUNDREDTHS.within(self.repetition, '+')} (Spearman, {COUNT(self.repetition.n)} pairs)."
        ]
        if self.loops.n:
            lines.insert(
                0,
                f"Where one text of a pair ends in a loop and the other does not, the loop is preferred on "
                f"{PERCENT.within(self.loops)} of {COUNT(self.loops.n)} pairs.",
            )
        return lines


def leanings(pairs: Sequence[Pair], preferences: Sequence[float], tokens: Measured) -> Leanings:
    """Of a judge's preferences, one a pair: above 0 for the first text, below for the second, 0 for neither.

    tokens: of each text, by whichever tokenizer.
    """
    first, second = ([tokens[text] for text in texts] for texts in zip(*map(texts_of, pairs), strict=True))
    loops = [(ends_in_loop(one), ends_in_loop(other)) for one, other in zip(first, second, strict=True)]
    hits = [
        (np.sign(preference) if one else -np.sign(preference)) / 2 + 0.5
        for preference, (one, other) in zip(preferences, loops, strict=True)
        if one != other and not math.isnan(one + other)
    ]
    longer = [len(one) - len(other) for one, other in zip(first, second, strict=True)]
    repeats = [
        ngram_repetition(one, NGRAM) - ngram_repetition(other, NGRAM) for one, other in zip(first, second, strict=True)
    ]
    contexts = [pair.context_id for pair in pairs]
    return Leanings(
        loop_share(hits),
        correlation(preferences, longer, contexts),
        correlation(preferences, repeats, contexts),
    )


def texts_of(pair: Pair) -> tuple[str, str]:
    """Both texts."""
    return pair.first_text, pair.second_text


def loop_share(hits: Sequence[float]) -> Estimate:
    """A share with Wilson's interval; a tie is half a hit, and rounded to a whole one for the interval alone."""
    if not hits:
        return Estimate(math.nan, math.nan, math.nan, 0)
    value = float(np.mean(hits))
    whole = round(float(np.sum(hits)))
    near = share_estimate([1.0] * whole + [0.0] * (len(hits) - whole))
    return Estimate(value, min(value, near.low), max(value, near.high), len(hits))


def correlation(ones: Sequence[float], others: Sequence[float], contexts: Sequence[str]) -> Estimate:
    """Spearman's ρ with its percentile interval over resampled contexts; NaN where one of the two never varies."""
    known = ~(np.isnan(ones) | np.isnan(others))
    first, second = np.asarray(ones, dtype=float)[known], np.asarray(others, dtype=float)[known]
    value = rank_correlation(first, second)
    if math.isnan(value):
        return Estimate(value, math.nan, math.nan, len(first))
    _, codes = np.unique(np.asarray(contexts)[known], return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(codes.max() + 1)]
    rng = np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLES // 4):
        drawn = np.concatenate([members[code] for code in rng.integers(len(members), size=len(members))])
        found.append(rank_correlation(first[drawn], second[drawn]))
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), len(first))


def rank_correlation(ones: "np.ndarray[Any, Any]", others: "np.ndarray[Any, Any]") -> float:
    """Spearman's ρ; NaN where one of the two never varies."""
    if len(ones) < 2 or np.all(ones == ones[0]) or np.all(others == others[0]):
        return math.nan
    return float(spearmanr(ones, others).statistic)
