"""What variety costs: in which measures one way to write loses to others, and which ways nothing beats in two."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hyperfit.numbers import style_of
from hyperfit.studies.measures.pareto import dominates, on_front
from hyperfit.studies.measures.results import HUMAN, Results
from hyperfit.studies.study import Better, Point, Scatter

Condition = tuple[str, str]
"""(label of a model, decoding)"""
GAIN = "ttr"


@dataclass(frozen=True)
class Quality:
    """A measure in which one wants more, or less."""

    measure: str
    told: str
    better: Better

    def price(self, value: float) -> float:
        """The value so that less is better."""
        return -value if self.better == "high" else value


PRICES = (
    Quality("perplexity", "perplexity on human text", "low"),
    Quality("longest_overlap", "tokens in a row of training data", "low"),
    Quality("coherence", "coherence under the scorer", "high"),
)
"""Against which variety is drawn."""
QUALITIES = (
    Quality(GAIN, "type-token ratio", "high"),
    Quality("word_share", "share of words that are words", "high"),
    Quality("self_bleu", "likeness of its texts to each other, self-BLEU", "low"),
    *PRICES,
)
SHORT = {"repetition-penalty": "penalty", "no-repeat-ngram": "no 3-gram"}
"""Decodings as they are named beside a point."""


def named(way: Condition) -> str:
    """As tables call it: without the parameters of the decoding, of which each name has one here."""
    label, how = way
    return f"{label}, {how.partition(':')[0]}"


def losses(results: Results, ours: Condition, others: Sequence[Condition]) -> str:
    """In which measures how many others are better than ``ours``, the best of them, and both numbers; else nothing."""
    said = []
    for one in QUALITIES:
        of_model = one.measure == "perplexity"  # one value a model, however it writes
        rivals = list({label: (label, how) for label, how in others}.values()) if of_model else list(others)
        better = [way for way in rivals if beats(results, one, way, ours, len(rivals))]
        if better:
            best = min(better, key=lambda way: one.price(results.estimate(way[0], one.measure, way[1]).value))
            mine, theirs = (results.estimate(label, one.measure, how).value for label, how in (ours, best))
            written, what = style_of(one.measure), "models" if of_model else "ways to write"
            said.append(
                f"{one.told} ({written.told(mine)}; {len(better)} of {len(rivals)} {what} are better, the best with "
                f"{written.told(theirs)}: {best[0] if of_model else named(best)})"
            )
    return "; ".join(said) or "in nothing that was measured"


def beats(results: Results, quality: Quality, way: Condition, ours: Condition, comparisons: int) -> bool:
    """Whether ``way`` is better by the whole interval; False where it was not measured."""
    try:
        gap = results.gap(way, ours, quality.measure, comparisons=comparisons)
    except KeyError:
        return False
    return gap.low > 0 if quality.better == "high" else gap.high < 0


def scatters(results: Results, ways: Sequence[Condition]) -> list[Scatter]:
    """Variety against each price that is known, of all ways to write, and of people, who are no competitor."""
    planes = []
    for one in PRICES:
        points = [point(results, way, one) for way in ways]
        points = [each for each in points if not (math.isnan(each.x.value) or math.isnan(each.y.value))]
        if not points:
            continue
        front = on_front([place(each, one) for each in points])
        points = [replace(each, front=first) for each, first in zip(points, front, strict=True)]
        human = point(results, (HUMAN, "greedy"), one)
        if not math.isnan(human.x.value):
            points.append(replace(human, name=HUMAN, label=HUMAN))
        planes.append(Scatter(f"alternatives-{one.measure}", one.measure, one.told, GAIN, one.better, points))
    return planes


def point(results: Results, way: Condition, price: Quality) -> Point:
    """One way to write, in the plane of variety and a price."""
    label, how = way
    short = SHORT.get(how, how.partition(":")[0])
    across = results.estimate(label, price.measure, how)
    return Point(named(way), label, short, across, results.estimate(label, GAIN, how))


def place(point: Point, price: Quality) -> tuple[float, float]:
    """(gain, price)"""
    return point.y.value, price.price(point.x.value)


def told_fronts(planes: Sequence[Scatter], ours: str) -> str:
    """For each price, how many ways are better than ``ours`` in it or in variety, and as good in the other."""
    said = []
    for plane in planes:
        price = next(one for one in PRICES if one.measure == plane.x)
        mine = next((each for each in plane.points if each.name == ours), None)
        if mine is not None:
            rivals = [each for each in plane.points if each.series not in (HUMAN, mine.series)]
            ahead = sum(dominates(place(each, price), place(mine, price)) for each in rivals)
            said.append(f"{ahead or 'none'} in {price.told}")
    return f"Ahead of it in variety and in a price at once, by their means: {', '.join(said)}." if said else ""
