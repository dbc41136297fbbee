"""The schema of a database, brought up to that of this version."""

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from hyperfit.errors import UserError
from hyperfit.prefer.store.database import Database, shown

MIGRATIONS = Path(__file__).parent / "migrations"


def migrate(database: Database) -> None:
    """Apply the migrations that the database has not had. Raises UserError for one that a later version has made."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)
    known = {script.revision for script in scripts.walk_revisions()}
    with database.engine.execution_options(writes=True).connect() as connection:
        at = MigrationContext.configure(connection).get_current_revision()
        if at is not None and at not in known:
            address = shown(str(database.engine.url))
            raise UserError(f"--database {address}: a later version of hyperfit has made it; update hyperfit")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def is_empty(database: Database) -> bool:
    """Whether nothing was ever stored there."""
    return not sa.inspect(database.engine).has_table("study")
