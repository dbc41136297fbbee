"""What an annotator has had, and what they may be given next."""

import random

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.prefer.assignment import Candidate
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.tables import Annotator, Assignment, Item

WINDOW = 64
"""Candidates that are looked at where there are many as good as each other."""

Had = sa.Row[str, str, bool, int, str, str, str]
"""purpose, item_id, swapped, position, context_id, first and second of an assignment."""


def had_by(session: Session, annotator: Annotator) -> list[Had]:
    """All that the annotator was shown, in order."""
    return list(
        session.execute(
            sa.select(
                Assignment.purpose,
                Assignment.item_id,
                Assignment.swapped,
                Assignment.position,
                Item.context_id,
                Item.first,
                Item.second,
            )
            .join(Item, Item.id == Assignment.item_id)
            .where(Assignment.annotator_id == annotator.id)
            .order_by(Assignment.position)
        )
    )


def candidates(session: Session, annotator: Annotator, settings: StudySettings, draw: random.Random) -> list[Candidate]:
    """Items of contexts new to the annotator that fewest have judged, WINDOW of them from a drawn place on.

    Once all contexts are known, all items that are left. Items are numbered in a drawn order, so that neighbours have
    nothing in common.
    """
    free = available(settings)
    known = (
        sa.select(Item.context_id)
        .join(Assignment, Assignment.item_id == Item.id)
        .where(Assignment.annotator_id == annotator.id, Assignment.purpose == "study")
    )
    new = Item.context_id.not_in(known)
    columns = sa.select(Item.id, Item.context_id, Item.first, Item.second, Item.taken)
    last = sa.select(sa.func.max(Item.number)).scalar_subquery()
    fewest, most = session.execute(sa.select(sa.func.min(Item.taken), last).where(*free, new)).one()
    if fewest is None:
        given = sa.select(Assignment.item_id).where(
            Assignment.annotator_id == annotator.id, Assignment.purpose == "study"
        )
        rows = list(session.execute(columns.where(*free, Item.id.not_in(given))))
    else:
        best = columns.where(*free, new, Item.taken == fewest).order_by(Item.number)
        start = draw.randint(1, most)
        rows = list(session.execute(best.where(Item.number >= start).limit(WINDOW)))
        if len(rows) < WINDOW:
            rows += session.execute(best.where(Item.number < start).limit(WINDOW - len(rows)))
    return [Candidate(row.id, row.context_id, (row.first, row.second), row.taken) for row in rows]


def available(settings: StudySettings) -> tuple[sa.ColumnElement[bool], ...]:
    """What is true of the items that want judgements."""
    return Item.purpose == "study", Item.taken < settings.annotators


def count_available(session: Session, annotator: Annotator, settings: StudySettings) -> int:
    """How many these are: all that want judgements, but for those that the annotator has had."""
    wanting = available(settings)
    all_of_them = session.scalar(sa.select(sa.func.count()).select_from(Item).where(*wanting)) or 0
    had = session.scalar(
        sa.select(sa.func.count())
        .select_from(Assignment)
        .join(Item, Item.id == Assignment.item_id)
        .where(Assignment.annotator_id == annotator.id, Assignment.purpose == "study", *wanting)
    )
    return all_of_them - (had or 0)
