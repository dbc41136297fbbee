"""How far a model that judges agrees with people who judged the same pairs of texts."""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT
from hyperfit.prefer.judgement import Choice, Judgement
from hyperfit.prefer.statistics.agreement import fleiss_kappa
from hyperfit.prefer.statistics.annotators import hits
from hyperfit.prefer.statistics.shares import grouped, oriented
from hyperfit.runs.json_values import json_values


@dataclass(frozen=True)
class WithPeople:
    """A model's judgements beside those of people; n counts judgements, or items for ``kappa``."""

    with_majority: Estimate
    """Of items on which most people chose the same: share on which the model did, too."""
    people_with_majority: Estimate
    """The same of each person and the others, on the items that the model judged: what could be reached."""
    decided: Estimate
    """Of items on which neither the model nor most people chose a tie: share of the same choice."""
    kappa: Estimate
    """Cohen's idea by Fleiss' formula: model and majority as two annotators."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN as None."""
        return dict(json_values(asdict(self)))

    def sentences(self) -> list[str]:
        """In words; none where nothing was judged by both."""
        if not self.with_majority.n:
            return []
        return [
            f"Chooses what most people chose on {PERCENT.within(self.with_majority)} of "
            f"{COUNT(self.with_majority.n)} pairs (without ties {PERCENT.within(self.decided)}; κ "
            f"{HUNDREDTHS.within(self.kappa)}); one person agrees with most others on "
            f"{PERCENT.within(self.people_with_majority)}."
        ]


def agreement_with_people(model: Sequence[Judgement], people: Sequence[Judgement]) -> WithPeople:
    """Compare on the items that both judged; a pair may be turned in one of the two."""
    asked_people = [one for one in people if one.purpose == "study"]
    rows = oriented([*asked_people, *(one for one in model if one.purpose == "study")])
    own = {one.item: one for one in rows[len(asked_people) :]}
    asked = grouped([one for one in rows[: len(asked_people)] if one.item in own], lambda one: one.item)
    agreed = {item: choice for item, of in asked.items() if (choice := majority(of)) is not None}
    pairs = [(own[item].choice, choice) for item, choice in agreed.items()]
    both = [
        one
        for item, choice in agreed.items()
        for one in (own[item], replace(own[item], judge="most people", choice=choice))
    ]
    return WithPeople(
        hits(one == other for one, other in pairs),
        hits(
            math.nan if choice is None else float(row.choice == choice)
            for of in asked.values()
            for row in of
            for choice in [majority([other for other in of if other is not row])]
        ),
        hits(one == other for one, other in pairs if "equal" not in (one, other)),
        fleiss_kappa(both),
    )


def majority(rows: Sequence[Judgement]) -> Choice | None:
    """What most chose; None where no choice has most votes."""
    votes = Counter(row.choice for row in rows).most_common(2)
    return None if not votes or (len(votes) > 1 and votes[0][1] == votes[1][1]) else votes[0][0]
