"""Where a study is served."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Not known of a study that was made before."""
    op.add_column("study", sa.Column("url", sa.Text))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("study", "url")
