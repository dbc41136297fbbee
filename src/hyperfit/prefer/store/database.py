"""A database by its URL: connections, transactions that are on the disk when they end, and its schema."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.errors import UserError
from hyperfit.prefer.store.tables import Study

FILE = "prefer.sqlite"
WAIT = 60
"""Seconds for which a transaction waits for another process's."""


@dataclass(frozen=True)
class Database:
    """Where a study lives."""

    engine: sa.Engine
    lock: threading.Lock = field(default_factory=threading.Lock)
    """Held by the thread of this process that writes to a file of SQLite, which takes one writer at a time."""

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that changes nothing."""
        with Session(self.engine) as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A session whose changes are on the disk when the block ends, all or none; one at a time in all processes."""
        if self.engine.dialect.name == "sqlite":
            with self.lock, Session(self.engine.execution_options(writes=True)) as session:
                yield session
                session.commit()
        else:
            with Session(self.engine) as session:
                session.scalar(sa.select(Study.id).with_for_update())
                yield session
                session.commit()

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


def database_url(folder: Path, url: str | None) -> str:
    """The URL of a study's database: the given one, or that of a file in its folder."""
    return url if url is not None else f"sqlite:///{(folder / FILE).absolute()}"


def connect(url: str) -> Database:
    """The database at a URL; one of SQLite is made where there is none. Raises UserError if it cannot be reached."""
    try:
        address = sa.make_url(url)
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        engine = sa.create_engine(address, **options(address))
        if engine.dialect.name == "sqlite":
            sa.event.listen(engine, "connect", set_up_sqlite)
            sa.event.listen(engine, "begin", begin_sqlite)
        with engine.connect() as connection:
            connection.execute(sa.text("SELECT 1"))
    except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
        raise UserError(
            f"--database {shown(url)}: is no address of a database ({error}); give one such as "
            "postgresql://USER@HOST/NAME, and install its driver"
        ) from error
    except sa.exc.DBAPIError as error:
        engine.dispose()
        raise UserError(f"--database {shown(url)}: cannot be reached ({str(error.orig).strip()})") from error
    return Database(engine)


def options(address: sa.URL) -> dict[str, Any]:
    """How an engine keeps its connections."""
    if address.get_backend_name() == "sqlite":
        return {"connect_args": {"timeout": WAIT}, "pool_size": 10, "max_overflow": 40}
    return {"pool_pre_ping": True, "pool_size": 10, "max_overflow": 10}


def set_up_sqlite(connection: Any, _: object) -> None:
    """Readers beside a writer (WAL), every commit on the disk, and references that lead somewhere."""
    connection.isolation_level = None  # sqlite3 begins no transactions by itself: begin_sqlite does
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def begin_sqlite(connection: sa.Connection) -> None:
    """Begin a transaction; one that writes takes its turn at once, so that it never has to be repeated."""
    writes = connection.get_execution_options().get("writes", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def shown(url: str) -> str:
    """A URL without its password."""
    try:
        return sa.make_url(url).render_as_string(hide_password=True)
    except sa.exc.ArgumentError:
        return url
