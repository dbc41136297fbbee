"""What alembic runs: the migrations, in the transaction of a connection that it is given."""

from alembic import context

from hyperfit.prefer.store.tables import Table

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
)
context.run_migrations()
