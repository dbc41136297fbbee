"""Answers, and how far an annotator is."""

import time
from dataclasses import dataclass, field
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.prefer.judgement import Choice
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.candidates import count_available
from hyperfit.prefer.store.claims import take
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Item, Superseded

Side = Literal["left", "right", "equal"]
SIDES: tuple[Side, ...] = ("left", "right", "equal")
LONGEST_COMMENT = 2000
"""Characters."""
LONGEST = 6 * 3600.0
"""Seconds for a pair: what a page tells beyond that is not believed."""


@dataclass(frozen=True)
class Given:
    """An answer as the page has it."""

    side: Side
    revision: int
    """0 for a new answer; else that of the answer which it changes, and one."""
    seconds: float | None = None
    questions: dict[str, Side] = field(default_factory=dict)
    comment: str = ""


Outcome = Literal["stored", "there already", "changed elsewhere", "unknown"]


def store_answer(session: Session, annotator: Annotator, assignment_id: int, given: Given) -> Outcome:
    """Keep an answer to one of the annotator's assignments, in a session that writes.

    The same answer sent again changes nothing ("there already"); one that changes another than the latest is refused
    ("changed elsewhere"); "unknown": there is no such assignment. What is changed is kept in ``superseded``.
    """
    found = session.execute(
        sa.select(Assignment, Answer)
        .outerjoin(Answer, Answer.assignment_id == Assignment.id)
        .where(Assignment.id == assignment_id, Assignment.annotator_id == annotator.id)
    ).first()
    if found is None:
        return "unknown"
    assignment, answer = found.Assignment, found.Answer
    values = {
        "choice": unsided(given.side, assignment.swapped),
        "questions": {name: unsided(side, assignment.swapped) for name, side in given.questions.items()},
        "comment": given.comment[:LONGEST_COMMENT],
    }
    if answer is None:
        if given.revision != 0:
            return "changed elsewhere"
        session.add(
            Answer(
                assignment_id=assignment.id,
                revision=0,
                seconds=believed(given.seconds),
                answered_at=time.time(),
                **values,
            )
        )
        if assignment.released:
            assignment.released = False
            take(session.get_one(Item, assignment.item_id), assignment.swapped, 1)
        return "stored"
    same = all(getattr(answer, name) == value for name, value in values.items())
    if given.revision == answer.revision:
        return "there already" if same else "changed elsewhere"
    if given.revision != answer.revision + 1:
        return "changed elsewhere"
    kept = ("assignment_id", "revision", "choice", "questions", "comment", "seconds", "answered_at")
    session.add(Superseded(**{name: getattr(answer, name) for name in kept}))
    more = believed(given.seconds)
    answer.seconds = answer.seconds if more is None else (answer.seconds or 0) + more
    answer.revision, answer.answered_at = given.revision, time.time()
    for name, value in values.items():
        setattr(answer, name, value)
    return "stored"


def unsided(side: Side, swapped: bool) -> Choice:
    """Which of the item's texts stood on a side."""
    if side == "equal":
        return "equal"
    return "first" if (side == "left") != swapped else "second"


def sided(choice: str, swapped: bool) -> Side:
    """On which side an answer's text stood."""
    if choice == "equal":
        return "equal"
    return "left" if (choice == "first") != swapped else "right"


def believed(seconds: float | None) -> float | None:
    """A time as a page tells it; None for what cannot be one."""
    return round(seconds, 2) if seconds is not None and 0 <= seconds <= LONGEST else None


def last_answered(session: Session, annotator: Annotator) -> Assignment | None:
    """What the annotator has answered last, by position."""
    return session.scalar(
        sa.select(Assignment)
        .join(Answer, Answer.assignment_id == Assignment.id)
        .where(Assignment.annotator_id == annotator.id)
        .order_by(Assignment.position.desc())
    )


@dataclass(frozen=True)
class Progress:
    """How far an annotator is, in pairs of all kinds."""

    done: int
    total: int
    """Done, and left as far as is known now: pairs that others are given meanwhile are left no more."""


def progress(session: Session, annotator: Annotator, settings: StudySettings) -> Progress:
    """What the annotator has answered, and all there is for them."""
    rows = session.execute(
        sa.select(Assignment.purpose, sa.func.count(), sa.func.count(Answer.assignment_id))
        .outerjoin(Answer, Answer.assignment_id == Assignment.id)
        .where(Assignment.annotator_id == annotator.id)
        .group_by(Assignment.purpose)
    ).all()
    given = {purpose: count for purpose, count, _ in rows}
    own = given.get("study", 0)
    free = count_available(session, annotator, settings)
    left = max(0, free if settings.per_annotator is None else min(free, settings.per_annotator - own))
    extras = settings.gold + min(settings.repeats, own + left) if own + left else 0
    done = sum(answered for _, _, answered in rows)
    return Progress(done, own + left + max(extras, given.get("gold", 0) + given.get("repeat", 0)))
