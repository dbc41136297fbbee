"""What an annotator is shown next, fixed in the database before it is shown."""

import random
import time
from collections import Counter

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.prefer.assignment import due, next_item, swapped
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.candidates import Had, candidates, had_by
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Item

CLAIM = 2 * 3600.0
"""Seconds for which a pair waits for an annotator's answer before it may go to another."""
GAP = 5
"""Pairs between one and its repetition, as long as there are others."""


def current(session: Session, annotator: Annotator, settings: StudySettings) -> Assignment | None:
    """The assignment that waits for the annotator's answer, a new one if none does; None when there is no more to do.

    In a session that writes.
    """
    waiting = session.scalar(
        sa.select(Assignment)
        .outerjoin(Answer, Answer.assignment_id == Assignment.id)
        .where(Assignment.annotator_id == annotator.id, Answer.assignment_id.is_(None))
        .order_by(Assignment.position)
    )
    if waiting is not None and waiting.released and not reclaimed(session, waiting, settings):
        session.delete(waiting)
        session.flush()
        waiting = None
    return waiting or new_assignment(session, annotator, settings)


def reclaimed(session: Session, waiting: Assignment, settings: StudySettings) -> bool:
    """Take an item again that had been released, unless enough others have it now."""
    item = session.get_one(Item, waiting.item_id)
    if item.taken >= settings.annotators:
        return False
    take(item, waiting.swapped, 1)
    waiting.released, waiting.shown_at = False, time.time()
    return True


def new_assignment(session: Session, annotator: Annotator, settings: StudySettings) -> Assignment | None:
    """The next item: gold or a repetition where one is due, else one of the study's own."""
    mine = had_by(session, annotator)
    own = [row for row in mine if row.purpose == "study"]
    position = max((row.position for row in mine), default=0) + 1
    draw = random.Random(f"{settings.seed} {annotator.id} {position}")
    found = None
    if (settings.per_annotator or len(own) + 1) > len(own):
        found = study_item(session, annotator, settings, own, draw)
    extra = extra_item(session, annotator, settings, mine, at_end=found is None)
    if extra is not None:
        item, purpose, side = extra
        return assigned(session, annotator, item, purpose, position, side)
    if found is None:
        return None
    conditions = Counter(row.swapped for row in own if (row.first, row.second) == (found.first, found.second))
    side = swapped((conditions[False], conditions[True]), (found.taken - found.swapped, found.swapped), draw)
    take(found, side, 1)
    return assigned(session, annotator, found, "study", position, side)


def study_item(
    session: Session, annotator: Annotator, settings: StudySettings, own: list[Had], draw: random.Random
) -> Item | None:
    """One of the study's items for the annotator; claims that have waited too long are released if there is none."""
    for _ in range(2):
        found = candidates(session, annotator, settings, draw)
        if found:
            contexts = Counter(row.context_id for row in own)
            conditions = Counter((row.first, row.second) for row in own)
            return session.get_one(Item, next_item(found, contexts, conditions, draw).id)
        if not release(session, time.time() - CLAIM):
            break
    return None


def extra_item(
    session: Session, annotator: Annotator, settings: StudySettings, mine: list[Had], *, at_end: bool
) -> tuple[Item, str, bool] | None:
    """(item, gold or repeat, side) where one is due; at the end all that are left are."""
    count = Counter(one.purpose for one in mine)
    if not count["study"] or not (settings.gold or settings.repeats):
        return None
    items = session.scalar(sa.select(sa.func.count()).where(Item.purpose == "study")) or 0
    quota = min(settings.per_annotator or items, items)
    seed = f"{settings.seed} {annotator.id}"
    places = due(settings.gold, quota, f"gold {seed}")
    if count["gold"] < settings.gold and (at_end or places[count["gold"]] <= count["study"]):
        had = [one.item_id for one in mine if one.purpose == "gold"]
        left = sa.select(Item).where(Item.purpose == "gold", Item.id.not_in(had)).order_by(Item.id)
        draw = random.Random(f"{seed} gold {count['gold']}")
        return draw.choice(session.scalars(left).all()), "gold", draw.random() < 0.5
    places = due(settings.repeats, quota, f"repeats {seed}", late=True)
    if count["repeat"] < settings.repeats and (at_end or places[count["repeat"]] <= count["study"]):
        again = {one.item_id for one in mine if one.purpose == "repeat"}
        last = len(mine) if at_end else len(mine) - GAP
        first = [one for one in mine[: max(last, 0)] if one.purpose == "study" and one.item_id not in again]
        if first:
            return session.get_one(Item, first[0].item_id), "repeat", not first[0].swapped
    return None


def assigned(session: Session, annotator: Annotator, item: Item, purpose: str, position: int, side: bool) -> Assignment:
    """A new assignment."""
    new = Assignment(
        annotator_id=annotator.id,
        item_id=item.id,
        purpose=purpose,
        position=position,
        swapped=side,
        shown_at=time.time(),
        released=False,
    )
    session.add(new)
    session.flush()
    return new


def release(session: Session, before: float) -> int:
    """Let go of the study's items that have waited for an answer since before a time; how many these are."""
    waiting = session.scalars(
        sa.select(Assignment)
        .outerjoin(Answer, Answer.assignment_id == Assignment.id)
        .where(
            Answer.assignment_id.is_(None),
            Assignment.purpose == "study",
            Assignment.released.is_(False),
            Assignment.shown_at < before,
        )
    ).all()
    for one in waiting:
        one.released = True
        take(session.get_one(Item, one.item_id), one.swapped, -1)
    session.flush()
    return len(waiting)


def take(item: Item, side: bool, count: int) -> None:
    """Count an annotator of an item, or with -1 one fewer."""
    item.taken += count
    item.swapped += count * side
