"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make all tables."""
    op.create_table(
        "study",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("settings", sa.JSON, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("created_at", sa.Float, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_study"),
    )
    op.create_table(
        "items",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("context_id", sa.String(16), nullable=False),
        sa.Column("domain", sa.Text, nullable=False),
        sa.Column("run", sa.Text, nullable=False),
        sa.Column("first", sa.Text, nullable=False),
        sa.Column("second", sa.Text, nullable=False),
        sa.Column("context", sa.Text, nullable=False),
        sa.Column("first_text", sa.Text, nullable=False),
        sa.Column("second_text", sa.Text, nullable=False),
        sa.Column("tokens", sa.Integer, nullable=False),
        sa.Column("expected", sa.String(8)),
        sa.Column("taken", sa.Integer, nullable=False),
        sa.Column("swapped", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_items"),
        sa.UniqueConstraint("number", name="uq_items_number"),
    )
    op.create_index("ix_items_purpose_items_taken_items_number", "items", ["purpose", "taken", "number"])
    op.create_table(
        "annotators",
        sa.Column("id", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("token", sa.String(64), nullable=False),
        sa.Column("invited_at", sa.Float, nullable=False),
        sa.Column("started_at", sa.Float),
        sa.PrimaryKeyConstraint("id", name="pk_annotators"),
        sa.UniqueConstraint("token", name="uq_annotators_token"),
    )
    op.create_table(
        "assignments",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("annotator_id", sa.Integer, nullable=False),
        sa.Column("item_id", sa.String(16), nullable=False),
        sa.Column("purpose", sa.String(8), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("swapped", sa.Boolean, nullable=False),
        sa.Column("shown_at", sa.Float, nullable=False),
        sa.Column("released", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_assignments"),
        sa.ForeignKeyConstraint(["annotator_id"], ["annotators.id"], name="fk_assignments_annotator_id_annotators"),
        sa.ForeignKeyConstraint(["item_id"], ["items.id"], name="fk_assignments_item_id_items"),
        sa.UniqueConstraint("annotator_id", "item_id", "purpose", name="uq_assignments_annotator_id_item_id_purpose"),
        sa.UniqueConstraint("annotator_id", "position", name="uq_assignments_annotator_id_position"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_assignments_item_id", "assignments", ["item_id"])
    op.create_table(
        "answers",
        sa.Column("assignment_id", sa.Integer, nullable=False, autoincrement=False),
        *answer_columns(),
        sa.PrimaryKeyConstraint("assignment_id", name="pk_answers"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_answers_assignment_id_assignments"),
    )
    op.create_table(
        "superseded",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("assignment_id", sa.Integer, nullable=False),
        *answer_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_superseded"),
        sa.ForeignKeyConstraint(["assignment_id"], ["assignments.id"], name="fk_superseded_assignment_id_assignments"),
        sa.UniqueConstraint("assignment_id", "revision", name="uq_superseded_assignment_id_revision"),
    )


def answer_columns() -> list[sa.Column[object]]:
    """What an answer holds."""
    return [
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("choice", sa.String(8), nullable=False),
        sa.Column("questions", sa.JSON, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("seconds", sa.Float),
        sa.Column("answered_at", sa.Float, nullable=False),
    ]


def downgrade() -> None:
    """Remove all tables."""
    for table in ("superseded", "answers", "assignments", "annotators", "items", "study"):
        op.drop_table(table)
