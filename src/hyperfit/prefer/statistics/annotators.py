"""How reliable each annotator is: beside the others, on gold items, and when asked twice."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from hyperfit.metrics.estimate import Estimate, share_estimate
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.shares import grouped


@dataclass(frozen=True)
class Reliability:
    """Of one annotator, or of all together; each n counts the judgements that could be compared."""

    judgements: int
    """That count for the study."""
    with_majority: Estimate
    """Share that agrees with what most others chose for the item."""
    gold: Estimate
    """Share of the gold items that were answered as expected."""
    repeat: Estimate
    """Share of the repeated items that were answered as the first time."""
    equal: Estimate
    """Share of ties."""
    left: Estimate
    """Share of the choices, ties left out, that took the text on the left: half, if the side does not matter."""
    seconds: float
    """Median time for an item; NaN where it was not kept."""


def reliability(judgements: Sequence[Judgement]) -> tuple[Reliability, dict[str, Reliability]]:
    """(of all annotators together, of each by name). judgements: of the study, gold and repeated."""
    study = [one for one in judgements if one.purpose == "study"]
    others = grouped(study, lambda one: one.item)
    first_answers = {(one.judge, one.item): one.choice for one in study}

    def of(rows: Sequence[Judgement]) -> Reliability:
        own = [row for row in rows if row.purpose == "study"]
        seconds = [row.seconds for row in own if row.seconds is not None]
        return Reliability(
            len(own),
            hits(agrees(row, others[row.item]) for row in own),
            hits(row.choice == row.expected for row in rows if row.purpose == "gold" and row.expected is not None),
            hits(
                row.choice == first_answers[row.judge, row.item]
                for row in rows
                if row.purpose == "repeat" and (row.judge, row.item) in first_answers
            ),
            hits(row.choice == "equal" for row in own),
            hits((row.choice == "second") == row.swapped for row in own if row.choice != "equal"),
            median(seconds) if seconds else math.nan,
        )

    each = {name: of(rows) for name, rows in grouped(judgements, lambda one: one.judge).items()}
    return of(judgements), each


def agrees(one: Judgement, item: Iterable[Judgement]) -> float:
    """1 if the annotator chose what most others did for the item, else 0; NaN where no choice has most votes."""
    votes = Counter(other.choice for other in item if other.judge != one.judge).most_common(2)
    if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]):
        return math.nan
    return float(one.choice == votes[0][0])


def hits(values: Iterable[float]) -> Estimate:
    """Share of hits with Wilson's interval."""
    return share_estimate([float(value) for value in values])
