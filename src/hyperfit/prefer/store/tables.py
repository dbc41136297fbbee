"""The tables. A change of them is a new file in migrations/versions/, which the tests compare with what stands here."""

from typing import Any

from sqlalchemy import JSON, Boolean, Float, ForeignKey, Index, Integer, MetaData, String, Text, UniqueConstraint
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

NAMES = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}


class Table(DeclarativeBase):
    """A row of a table. Times are seconds since 1970 (UTC)."""

    metadata = MetaData(naming_convention=NAMES)


class Study(Table):
    """The one study of a database."""

    __tablename__ = "study"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    settings: Mapped[dict[str, Any]] = mapped_column(JSON)
    """Those of StudySettings, and ``runs``."""
    fingerprint: Mapped[str] = mapped_column(String(64))
    """Of all items."""
    secret: Mapped[str] = mapped_column(String(64))
    """Signs forms and cookies."""
    created_at: Mapped[float] = mapped_column(Float)
    url: Mapped[str | None] = mapped_column(Text)
    """Where annotators reached it when it was last served."""


class Item(Table):
    """A pair of texts."""

    __tablename__ = "items"
    __table_args__ = (Index(None, "purpose", "taken", "number"),)

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, unique=True)
    """From 1, in a drawn order."""
    purpose: Mapped[str] = mapped_column(String(8))
    """study or gold"""
    context_id: Mapped[str] = mapped_column(String(16))
    domain: Mapped[str] = mapped_column(Text)
    run: Mapped[str] = mapped_column(Text)
    first: Mapped[str] = mapped_column(Text)
    second: Mapped[str] = mapped_column(Text)
    context: Mapped[str] = mapped_column(Text)
    first_text: Mapped[str] = mapped_column(Text)
    second_text: Mapped[str] = mapped_column(Text)
    tokens: Mapped[int] = mapped_column(Integer)
    expected: Mapped[str | None] = mapped_column(String(8))
    taken: Mapped[int] = mapped_column(Integer)
    """How many annotators have judged it or are at it."""
    swapped: Mapped[int] = mapped_column(Integer)
    """For how many of them its second text was on the left."""


class Annotator(Table):
    """Someone who was invited."""

    __tablename__ = "annotators"

    id: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    token: Mapped[str] = mapped_column(String(64), unique=True)
    """What their link ends in."""
    invited_at: Mapped[float] = mapped_column(Float)
    started_at: Mapped[float | None] = mapped_column(Float)


class Assignment(Table):
    """An item that an annotator was shown; once for each purpose."""

    __tablename__ = "assignments"
    __table_args__ = (
        UniqueConstraint("annotator_id", "item_id", "purpose"),
        UniqueConstraint("annotator_id", "position"),
        Index(None, "item_id"),
        {"sqlite_autoincrement": True},  # a page that shows what was taken back must not answer what came after
    )

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    annotator_id: Mapped[int] = mapped_column(ForeignKey("annotators.id"))
    item_id: Mapped[str] = mapped_column(ForeignKey("items.id"))
    purpose: Mapped[str] = mapped_column(String(8))
    """study, gold or repeat"""
    position: Mapped[int] = mapped_column(Integer)
    """In the annotator's order, from 1."""
    swapped: Mapped[bool] = mapped_column(Boolean)
    """Whether the item's second text is on the left."""
    shown_at: Mapped[float] = mapped_column(Float)
    released: Mapped[bool] = mapped_column(Boolean)
    """Whether it waited so long for an answer that another may be given the item."""


class Answer(Table):
    """What an annotator said: one answer an assignment, hence one for each annotator and item."""

    __tablename__ = "answers"

    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"), primary_key=True, autoincrement=False)
    revision: Mapped[int] = mapped_column(Integer)
    """How often it was changed."""
    choice: Mapped[str] = mapped_column(String(8))
    """first, second or equal: of the item, whatever the sides"""
    questions: Mapped[dict[str, str]] = mapped_column(JSON)
    """Question → choice."""
    comment: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float | None] = mapped_column(Float)
    """How long the page was in sight, all revisions together."""
    answered_at: Mapped[float] = mapped_column(Float)


class Superseded(Table):
    """An answer as it was before it was changed."""

    __tablename__ = "superseded"
    __table_args__ = (UniqueConstraint("assignment_id", "revision"),)

    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    assignment_id: Mapped[int] = mapped_column(ForeignKey("assignments.id"))
    revision: Mapped[int] = mapped_column(Integer)
    choice: Mapped[str] = mapped_column(String(8))
    questions: Mapped[dict[str, str]] = mapped_column(JSON)
    comment: Mapped[str] = mapped_column(Text)
    seconds: Mapped[float | None] = mapped_column(Float)
    answered_at: Mapped[float] = mapped_column(Float)
