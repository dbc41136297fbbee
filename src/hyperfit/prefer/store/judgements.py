"""Everything that was answered, as it is analysed and exported."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.store.study import OpenStudy
from hyperfit.prefer.store.tables import Answer, Assignment, Item

TOLD = (
    Assignment.annotator_id,
    Assignment.swapped,
    Assignment.purpose,
    Item.id.label("item"),
    Item.context_id,
    Item.domain,
    Item.tokens,
    Item.first,
    Item.second,
    Item.expected,
    Answer.choice,
    Answer.seconds,
    Answer.questions,
    Answer.comment,
)
"""What a judgement is made of: without the texts, which are most of a study."""
Row = sa.Row[Any]


def judgements(study: OpenStudy) -> list[Judgement]:
    """All answers, by annotator in the order in which they saw the pairs; gold and repeated ones say so."""
    return [judgement(row, study) for row in answered(study)]


def rows_to_export(study: OpenStudy) -> Iterator[dict[str, Any]]:
    """The same with what reanalysis needs: the texts, the run, the order, times and changes."""
    texts = (Item.run, Item.context, Item.first_text, Item.second_text)
    times = (Assignment.position, Assignment.shown_at, Answer.answered_at, Answer.revision)
    for row in answered(study, *texts, *times):
        yield {
            **asdict(judgement(row, study)),
            "run": row.run,
            "context_text": row.context,
            "first_text": row.first_text,
            "second_text": row.second_text,
            "position": row.position,
            "shown_at": moment(row.shown_at),
            "answered_at": moment(row.answered_at),
            "revision": row.revision,
        }


def answered(study: OpenStudy, *more: Any) -> list[Row]:
    """TOLD of every answer, and more columns of it, its assignment and its item."""
    with study.database.reading() as session:
        return list(
            session.execute(
                sa.select(*TOLD, *more)
                .select_from(Answer)
                .join(Assignment, Assignment.id == Answer.assignment_id)
                .join(Item, Item.id == Assignment.item_id)
                .order_by(Assignment.annotator_id, Assignment.position)
            )
        )


def judgement(row: Row, study: OpenStudy) -> Judgement:
    """One answer to a study."""
    return Judgement(
        judge=str(row.annotator_id),
        item=row.item,
        context=row.context_id,
        domain=row.domain,
        tokens=row.tokens,
        first=row.first,
        second=row.second,
        choice=row.choice,
        seconds=row.seconds,
        swapped=row.swapped,
        purpose=row.purpose,
        expected=row.expected,
        questions=dict(row.questions),
        comment=row.comment,
        study=study.name,
    )


def moment(seconds: float) -> str:
    """A time of the database in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
