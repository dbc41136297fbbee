"""Everything that was answered, as it is analysed and exported."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.store.study import OpenStudy
from hyperfit.prefer.store.tables import Answer, Assignment, Item

Row = sa.Row[Answer, Assignment, Item]


def judgements(study: OpenStudy) -> list[Judgement]:
    """All answers, by annotator in the order in which they saw the pairs; gold and repeated ones say so."""
    return [judgement(row, study) for row in answered(study)]


def rows_to_export(study: OpenStudy) -> Iterator[dict[str, Any]]:
    """The same with what reanalysis needs: the texts, the run, the order, times and changes."""
    for row in answered(study):
        yield {
            **asdict(judgement(row, study)),
            "run": row.Item.run,
            "context_text": row.Item.context,
            "first_text": row.Item.first_text,
            "second_text": row.Item.second_text,
            "position": row.Assignment.position,
            "shown_at": moment(row.Assignment.shown_at),
            "answered_at": moment(row.Answer.answered_at),
            "revision": row.Answer.revision,
        }


def answered(study: OpenStudy) -> list[Row]:
    """Every answer with its assignment and its item."""
    with study.database.reading() as session:
        return list(
            session.execute(
                sa.select(Answer, Assignment, Item)
                .join(Assignment, Assignment.id == Answer.assignment_id)
                .join(Item, Item.id == Assignment.item_id)
                .order_by(Assignment.annotator_id, Assignment.position)
            )
        )


def judgement(row: Row, study: OpenStudy) -> Judgement:
    """One answer to a study."""
    answer, assignment, item = row.Answer, row.Assignment, row.Item
    return Judgement(
        judge=str(assignment.annotator_id),
        item=item.id,
        context=item.context_id,
        domain=item.domain,
        tokens=item.tokens,
        first=item.first,
        second=item.second,
        choice=answer.choice,
        seconds=answer.seconds,
        swapped=assignment.swapped,
        purpose=assignment.purpose,
        expected=item.expected,
        questions=dict(answer.questions),
        comment=answer.comment,
        study=study.name,
    )


def moment(seconds: float) -> str:
    """A time of the database in UTC, to the millisecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
