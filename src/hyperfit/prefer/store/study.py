"""Make a study, or go on with one; invite annotators."""

import random
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from hyperfit.errors import UserError
from hyperfit.image.completion.written import picture_of
from hyperfit.prefer.items.pairs import Pair
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store.database import Database, connect, database_url, shown
from hyperfit.prefer.store.migrate import is_empty, migrate
from hyperfit.prefer.store.tables import Annotator, Item, Study

MOST_ANNOTATORS = 10_000


@dataclass(frozen=True)
class OpenStudy:
    """A study and where it lives."""

    database: Database
    settings: StudySettings
    runs: tuple[str, ...]
    secret: str
    name: str
    """Eight hexadecimal digits that no other study has, for its annotators have but numbers."""
    url: str | None = None
    """Where annotators reached it when it was last served."""

    @cached_property
    def pictures(self) -> bool:
        """Whether pairs of pictures are judged."""
        with self.database.reading() as session:
            item = session.scalar(sa.select(Item).limit(1))
            return item is not None and picture_of(item.context + item.first_text) is not None


def open_study(folder: Path, url: str | None = None) -> OpenStudy:
    """An existing study. Raises UserError where there is none."""
    if url is None and not Path(sa.make_url(database_url(folder, None)).database or "").is_file():
        raise UserError(f"--study {folder}: holds no study; hyperfit prefer serve RUN --study {folder} makes one")
    database = connect(database_url(folder, url))
    try:
        if is_empty(database):
            raise UserError(f"{place(folder, url)}: holds no study; hyperfit prefer serve RUN makes one")
        migrate(database)
        with database.reading() as session:
            study = session.scalar(sa.select(Study))
        if study is None:
            raise UserError(f"{place(folder, url)}: holds no study; hyperfit prefer serve RUN makes one")
    except BaseException:
        database.close()
        raise
    return OpenStudy(database, *settings_of(study.settings), study.secret, name_of(study), study.url)


def has_study(folder: Path, url: str | None = None) -> bool:
    """Whether there is a study already. Raises UserError where its database cannot be reached."""
    if url is None and not Path(sa.make_url(database_url(folder, None)).database or "").is_file():
        return False
    database = connect(database_url(folder, url))
    try:
        if is_empty(database):
            return False
        with database.reading() as session:
            return session.scalar(sa.select(sa.func.count()).select_from(Study)) == 1
    finally:
        database.close()


def make_study(
    folder: Path, url: str | None, runs: Sequence[Path], settings: StudySettings, pairs: Sequence[Pair]
) -> OpenStudy:
    """Begin a study: all of it is stored, or nothing."""
    if url is None:
        folder.mkdir(parents=True, exist_ok=True)
    database = connect(database_url(folder, url))
    try:
        migrate(database)
        with database.writing() as session:
            if session.scalar(sa.select(Study)) is None:
                session.add(
                    Study(
                        id=1,
                        settings=plain(runs, settings),
                        fingerprint=fingerprint(pairs),
                        secret=secrets.token_urlsafe(32),
                        created_at=time.time(),
                    )
                )
                drawn = random.Random(f"numbers {settings.seed}").sample(pairs, len(pairs))
                for number, pair in enumerate(drawn, start=1):
                    session.add(Item(number=number, taken=0, swapped=0, **asdict(pair)))
    finally:
        database.close()
    return open_study(folder, url)


def check_same(
    study: OpenStudy, runs: Sequence[Path], settings: StudySettings, pairs: Callable[[], Sequence[Pair]]
) -> None:
    """Raises UserError with all that differs from the study which is there: settings, runs, or their texts."""
    before, now = plain(study.runs, study.settings), plain(runs, settings)
    problems = [
        f"--{name.replace('_', '-')} was {told(before[name])}, is now {told(now[name])}"
        if name != "runs"
        else f"RUN was {told(before[name])}, is now {told(now[name])}"
        for name in before
        if before[name] != now[name]
    ]
    if not problems:
        with study.database.reading() as session:
            if session.scalar(sa.select(Study.fingerprint)) != fingerprint(pairs()):
                problems = ["the texts of the runs have changed since the study began"]
    if problems:
        raise UserError(
            *(
                f"{problem}; a study stays as it began: give no RUN to go on with it, or another --study"
                for problem in problems
            )
        )


def check_unchanged(study: OpenStudy, settings: StudySettings) -> None:
    """Raises UserError with every setting that is given, which is to say not the default, and not the study's."""
    before, now, usual = (plain((), one) for one in (study.settings, settings, StudySettings()))
    problems = [
        f"--{name.replace('_', '-')} was {told(before[name])}, is now {told(now[name])}; a study stays as it began: "
        "leave that out, or give a RUN and another --study"
        for name in before
        if now[name] not in (before[name], usual[name])
    ]
    if problems:
        raise UserError(*problems)


def remember_url(study: OpenStudy, url: str) -> None:
    """Keep where annotators reach the study, for links that are made elsewhere."""
    with study.database.writing() as session:
        session.execute(sa.update(Study).values(url=url))


def invite(study: OpenStudy, count: int) -> list[Annotator]:
    """New annotators, numbered on from those there are. Raises UserError for more than there can be."""
    with study.database.writing() as session:
        last = session.scalar(sa.select(sa.func.max(Annotator.id))) or 0
        if not 1 <= count <= MOST_ANNOTATORS - last:
            raise UserError(f"invite {count}: give 1 to {MOST_ANNOTATORS - last} ({last} are invited)")
        new = [
            Annotator(id=last + place, token=secrets.token_urlsafe(18), invited_at=time.time())
            for place in range(1, count + 1)
        ]
        session.add_all(new)
        session.flush()
        session.expunge_all()
    return new


def annotator_of(session: Session, token: str) -> Annotator | None:
    """Who has that token."""
    return session.scalar(sa.select(Annotator).where(Annotator.token == token))


def plain(runs: Sequence[Path | str], settings: StudySettings) -> dict[str, Any]:
    """Runs and settings as JSON holds them."""
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(settings).items()}
    values["texts"] = None if settings.texts is None else str(settings.texts)
    return {"runs": [str(run) for run in runs], **values}


def settings_of(values: dict[str, Any]) -> tuple[StudySettings, tuple[str, ...]]:
    """(settings, runs) as they were stored."""
    given: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    runs = given.pop("runs")
    given["texts"] = None if given["texts"] is None else Path(given["texts"])
    return StudySettings(**given), runs


def fingerprint(pairs: Sequence[Pair]) -> str:
    """Of all items in their order."""
    return sha256(" ".join(f"{pair.id}:{pair.purpose}" for pair in pairs).encode()).hexdigest()


def name_of(study: Study) -> str:
    """By its items and the moment when it began."""
    return sha256(f"{study.fingerprint} {study.created_at!r}".encode()).hexdigest()[:8]


def told(value: Any) -> str:
    """A setting in words."""
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def place(folder: Path, url: str | None) -> str:
    """How a study was named on the command line."""
    return f"--study {folder}" if url is None else f"--database {shown(url)}"
