"""How a study is going, for its owner: progress, each annotator's attention and speed, agreement so far."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import nan
from statistics import median

import sqlalchemy as sa

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.agreement import krippendorff_alpha
from hyperfit.prefer.statistics.shares import grouped
from hyperfit.prefer.store.judgements import answered, judgement
from hyperfit.prefer.store.study import OpenStudy
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Item

CHARACTERS_A_SECOND = 90
"""Whoever has read both texts has not read faster: some 15 words, about four times a quick reader's speed."""
LOOK = 1.0
"""Seconds: whoever has looked at two pictures has not been faster."""
SLOW = 600.0
"""Seconds for a pair, beyond which somebody was probably elsewhere."""
SUSPICIOUS = 0.2
"""Share of pairs judged too fast from which an annotator is marked."""


@dataclass(frozen=True)
class AnnotatorRow:
    """One annotator's work. Shares are NaN where there is nothing to share."""

    number: int
    token: str
    started: bool
    answers: int
    """To the study's own pairs."""
    left: float
    """Share of these that prefer the left text."""
    equal: float
    seconds: float
    """Median of a pair."""
    fast: float
    """Share of pairs judged faster than they can be read."""
    slow: int
    """Pairs that took longer than SLOW."""
    gold: tuple[int, int]
    """(right, of)"""
    repeats: tuple[int, int]
    """(judged as before, of)"""
    agreement: float
    """Share of the other annotators' judgements of the same pairs with which theirs agree."""
    last_seen: float | None

    @property
    def marked(self) -> bool:
        """Whether the owner should have a look."""
        right, of = self.gold
        return self.fast > SUSPICIOUS or (of > 0 and right < of / 2)


@dataclass(frozen=True)
class Overview:
    """The whole study."""

    answers: int
    needed: int
    items: int
    complete: int
    """Items with as many answers as the study wants."""
    agreement: float
    """Share of pairs of judgements of the same item that agree; NaN before there is one."""
    chance: float
    """What that would be if everybody drew from the answers at random."""
    alpha: float
    """Krippendorff's α of the choices; NaN before two have judged the same pair."""
    annotators: list[AnnotatorRow]


def overview(study: OpenStudy) -> Overview:
    """Read off the database as it is now."""
    length = sa.func.length(Item.first_text) + sa.func.length(Item.second_text)
    rows = answered(study, Answer.answered_at, length.label("characters"))
    with study.database.reading() as session:
        people = session.scalars(sa.select(Annotator).order_by(Annotator.id)).all()
        items = session.scalar(sa.select(sa.func.count()).where(Item.purpose == "study")) or 0
        last = {
            row.annotator_id: row.at
            for row in session.execute(
                sa.select(Assignment.annotator_id, sa.func.max(Assignment.shown_at).label("at")).group_by(
                    Assignment.annotator_id
                )
            )
        }
        session.expunge_all()
    least = {row.item: LOOK if study.pictures else row.characters / CHARACTERS_A_SECOND for row in rows}
    for row in rows:
        last[row.annotator_id] = max(last[row.annotator_id], row.answered_at)
    told = [judgement(row, study) for row in rows]
    own = [one for one in told if one.purpose == "study"]
    by_item, by_judge = grouped(own, lambda one: one.item), grouped(told, lambda one: one.judge)
    return Overview(
        answers=len(own),
        needed=items * study.settings.annotators,
        items=items,
        complete=sum(len(given) >= study.settings.annotators for given in by_item.values()),
        agreement=agreement(by_item.values()),
        chance=chance(own),
        alpha=krippendorff_alpha(own, resamples=1).value,
        annotators=[annotator_row(person, by_judge.get(str(person.id), []), by_item, least, last) for person in people],
    )


def annotator_row(
    person: Annotator,
    told: Sequence[Judgement],
    by_item: dict[str, list[Judgement]],
    least: dict[str, float],
    last: dict[int, float],
) -> AnnotatorRow:
    """One annotator's work, from all that they answered. least: seconds that an item takes to be read, by its id."""
    own = {one.item: one for one in told if one.purpose == "study"}
    gold = [one for one in told if one.purpose == "gold"]
    again = [one for one in told if one.purpose == "repeat" and one.item in own]
    timed = [one for one in own.values() if one.seconds is not None]
    others = [
        one.choice == own[one.item].choice for item in own for one in by_item[item] if one.judge != str(person.id)
    ]
    return AnnotatorRow(
        number=person.id,
        token=person.token,
        started=person.started_at is not None,
        answers=len(own),
        left=share(one.choice == ("second" if one.swapped else "first") for one in own.values()),
        equal=share(one.choice == "equal" for one in own.values()),
        seconds=median(one.seconds or 0 for one in timed) if timed else nan,
        fast=share((one.seconds or 0) < least[one.item] for one in timed),
        slow=sum((one.seconds or 0) > SLOW for one in timed),
        gold=(sum(one.choice == one.expected for one in gold), len(gold)),
        repeats=(sum(one.choice == own[one.item].choice for one in again), len(again)),
        agreement=share(others),
        last_seen=last.get(person.id),
    )


def agreement(groups: Iterable[Sequence[Judgement]]) -> float:
    """Share of pairs of judgements of the same item that agree."""
    return share(one.choice == other.choice for group in groups for one, other in combinations(group, 2))


def chance(told: Sequence[Judgement]) -> float:
    """How often two answers drawn from all would agree."""
    if not told:
        return nan
    return sum((sum(one.choice == choice for one in told) / len(told)) ** 2 for choice in ("first", "second", "equal"))


def share(values: Iterable[bool]) -> float:
    """Of those that are true; NaN of none."""
    found = list(values)
    return sum(found) / len(found) if found else nan
