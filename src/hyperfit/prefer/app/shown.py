"""What an annotator's page shows."""

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.answers import Progress, last_answered, progress, sided
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Item

LEAD_WORDS = 6
"""Last words of the context that stand before each continuation, as these may begin inside a word."""
LEAD_CHARACTERS = 80
"""Most characters of them."""


@dataclass(frozen=True)
class Before:
    """An answer that is being changed, as the page marks it."""

    side: str
    questions: dict[str, str]
    comment: str
    revision: int


@dataclass(frozen=True)
class Shown:
    """A pair on a page; conditions, purpose and item stay out of it."""

    assignment: int
    context: str
    lead: str
    left: str
    right: str
    progress: Progress
    undoable: bool
    before: Before | None = None
    questions: tuple[str, ...] = field(default=())

    @property
    def revision(self) -> int:
        """Of the answer that this page will send."""
        return 0 if self.before is None else self.before.revision + 1

    @property
    def number(self) -> int:
        """Of this pair among all the annotator's."""
        return self.progress.done + (self.before is None)


def waiting(session: Session, annotator: Annotator, settings: StudySettings) -> Shown | None:
    """The next pair for the annotator, None after the last; in a session that writes."""
    assignment = current(session, annotator, settings)
    return None if assignment is None else shown(session, annotator, settings, assignment)


def waiting_already(session: Session, annotator: Annotator, settings: StudySettings) -> Shown | None:
    """The pair that the annotator was given and has not answered, if it is still theirs."""
    found = session.execute(
        sa.select(Assignment, Item)
        .join(Item, Item.id == Assignment.item_id)
        .outerjoin(Answer, Answer.assignment_id == Assignment.id)
        .where(Assignment.annotator_id == annotator.id, Answer.assignment_id.is_(None), Assignment.released.is_(False))
        .order_by(Assignment.position)
    ).first()
    return None if found is None else shown(session, annotator, settings, found.Assignment)


def answered_last(session: Session, annotator: Annotator, settings: StudySettings) -> Shown | None:
    """The pair that the annotator answered last, with the answer, to change it."""
    assignment = last_answered(session, annotator)
    if assignment is None:
        return None
    return shown(session, annotator, settings, assignment, session.get_one(Answer, assignment.id))


def shown(
    session: Session,
    annotator: Annotator,
    settings: StudySettings,
    assignment: Assignment,
    answer: Answer | None = None,
) -> Shown:
    """A pair with its sides. answer: to be changed."""
    item = session.get_one(Item, assignment.item_id)
    texts = (item.second_text, item.first_text) if assignment.swapped else (item.first_text, item.second_text)
    how_far = progress(session, annotator, settings)
    return Shown(
        assignment=assignment.id,
        context=item.context.strip(),
        lead=lead(item.context),
        left=texts[0].rstrip(),
        right=texts[1].rstrip(),
        progress=how_far,
        undoable=how_far.done > 0 and answer is None,
        before=None
        if answer is None
        else Before(
            sided(answer.choice, assignment.swapped),
            {name: sided(choice, assignment.swapped) for name, choice in answer.questions.items()},
            answer.comment,
            answer.revision,
        ),
        questions=settings.questions,
    )


def lead(context: str) -> str:
    """The last words of a context, after an ellipsis."""
    end = context[-LEAD_CHARACTERS:].lstrip()
    words = end.split(" ")[-LEAD_WORDS:]
    short = " ".join(words)
    return short if short == context else f"… {short.lstrip()}"
