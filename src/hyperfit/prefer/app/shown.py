"""What an annotator's page shows."""

from dataclasses import dataclass, field

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.image.completion.grid import with_unknown
from hyperfit.image.completion.written import as_text, drawn, picture_of
from hyperfit.image.shapes.scenes import picture
from hyperfit.numbers import COUNT
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.answers import Progress, last_answered, progress, sided
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Item

LEAD_WORDS = 6
"""Last words of the context that stand before each continuation, as these may begin inside a word."""
LEAD_CHARACTERS = 80
"""Most characters of them."""
EXAMPLE, EXAMPLE_SIDE = 0, 32
"""The picture of the instructions: which of those that are drawn here, and its height and width in pixels."""


@dataclass(frozen=True)
class Before:
    """An answer that is being changed, as the page marks it."""

    side: str
    questions: dict[str, str]
    comment: str
    revision: int


@dataclass(frozen=True)
class Pictures:
    """A pair of pictures as data URIs, and how they begin."""

    beginning: str
    left: str
    right: str
    alone: str
    """The beginning in words, for those who do not see it."""


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
    pictures: Pictures | None = None
    """What is shown in place of texts."""
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
        pictures=pictures_of(item.context, *texts),
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


def pictures_of(context: str, left: str, right: str) -> Pictures | None:
    """The pair drawn, a line where the beginning ends, if the texts stand for pictures."""
    first, second = picture_of(context + left), picture_of(context + right)
    if first is None or second is None:
        return None
    given, (high, wide, _) = len(context.split()), first.shape
    begun = with_unknown(first[None], given)[0]
    return Pictures(
        drawn(begun),
        drawn(first, given),
        drawn(second, given),
        f"The top of a picture, {COUNT(given)} of its {COUNT(high * wide)} pixels; the rest is not there yet",
    )


def picture_example() -> Pictures | None:
    """For the instructions: a drawn picture, on the right, and on the left one that draws its last given row again."""
    right = picture(EXAMPLE, EXAMPLE_SIDE)
    given = EXAMPLE_SIDE // 4
    left = right.copy()
    left[given:] = left[given - 1]
    (context, one), (_, other) = (as_text(side, given * EXAMPLE_SIDE) for side in (left, right))
    return pictures_of(context, one, other)


def lead(context: str) -> str:
    """The last words of a context, after an ellipsis."""
    end = context[-LEAD_CHARACTERS:].lstrip()
    words = end.split(" ")[-LEAD_WORDS:]
    short = " ".join(words)
    return short if short == context else f"… {short.lstrip()}"
