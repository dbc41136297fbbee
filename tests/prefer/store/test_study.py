"""The study's database, on SQLite and on a real PostgreSQL: nothing lost, doubled or misassigned."""

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from databases import postgresql

from hyperfit.errors import UserError
from hyperfit.prefer.items.pairs import Pair, pairs_of
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.store import claims
from hyperfit.prefer.store.answers import SIDES, Given, progress, sided, store_answer, unsided
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.database import connect
from hyperfit.prefer.store.judgements import judgements
from hyperfit.prefer.store.migrate import MIGRATIONS, migrate
from hyperfit.prefer.store.overview import overview
from hyperfit.prefer.store.study import (
    OpenStudy,
    annotator_of,
    check_same,
    check_unchanged,
    has_study,
    invite,
    make_study,
    open_study,
    remember_url,
)
from hyperfit.prefer.store.tables import Annotator, Answer, Assignment, Superseded, Table
from study_server import made_run


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str | None:
    """None: a file in the study's folder."""
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("server")
    database = connect(found)
    with database.engine.begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
    database.close()
    return found


def study_of(folder: Path, url: str | None, settings: StudySettings, contexts: int = 10) -> OpenStudy:
    run = made_run(folder / "run", contexts)
    return make_study(folder / "study", url, [run], settings, pairs_of([run], settings))


def judge_all(study: OpenStudy, annotator: Annotator, draw: random.Random) -> None:
    while True:
        with study.database.writing() as session:
            assignment = current(session, annotator, study.settings)
            if assignment is None:
                return
            key = assignment.id
        with study.database.writing() as session:
            assert store_answer(session, annotator, key, Given(draw.choice(SIDES), 0, seconds=2.5)) == "stored"


def test_migrations_make_the_tables_that_the_code_has(tmp_path: Path, url: str | None) -> None:
    study = study_of(tmp_path, url, StudySettings())
    with study.database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Table.metadata) == []
    migrate(study.database)
    with study.database.engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(UserError, match="a later version of hyperfit"):
        open_study(tmp_path / "study", url)
    study.database.close()


def test_a_study_of_the_first_version_goes_on(tmp_path: Path, url: str | None) -> None:
    settings = StudySettings(gold=1)
    study = study_of(tmp_path, url, settings)
    (person,) = invite(study, 1)
    with study.database.engine.execution_options(writes=True).connect() as connection:
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.downgrade(config, "0001")
        connection.commit()
        assert "url" not in {column["name"] for column in sa.inspect(connection).get_columns("study")}
    study.database.close()
    again = open_study(tmp_path / "study", url)
    assert (again.settings, again.secret, again.name, again.url) == (settings, study.secret, study.name, None)
    remember_url(again, "https://study.example.org")
    again.database.close()
    third = open_study(tmp_path / "study", url)
    assert third.url == "https://study.example.org"
    with third.database.reading() as session:
        found = annotator_of(session, person.token)
        assert found is not None
        assert found.id == 1
    third.database.close()


def test_annotators_at_once_judge_every_pair_as_often_as_it_is_wanted(tmp_path: Path, url: str | None) -> None:
    study = study_of(tmp_path, url, StudySettings(gold=2, repeats=2))
    people = invite(study, 8)
    threads = [threading.Thread(target=judge_all, args=(study, person, random.Random(person.id))) for person in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = judgements(study)
    own = [one for one in told if one.purpose == "study"]
    assert set(Counter(one.item for one in own).values()) == {3}
    assert len({(one.judge, one.item, one.purpose) for one in told}) == len(told)
    for judge in {one.judge for one in told}:
        mine = [one for one in told if one.judge == judge]
        count = Counter(one.purpose for one in mine)
        assert count["gold"] == 2
        assert count["repeat"] == min(2, count["study"])
        for pair in {one.first for one in mine if one.purpose == "study"}:
            sides = Counter(one.swapped for one in mine if one.purpose == "study" and one.first == pair)
            assert abs(sides[True] - sides[False]) <= 1
        for again in (one for one in mine if one.purpose == "repeat"):
            (before,) = [one for one in mine if one.purpose == "study" and one.item == again.item]
            assert before.swapped is not again.swapped
    study.database.close()


def test_an_answer_is_stored_once_and_changes_are_kept(tmp_path: Path, url: str | None) -> None:
    study = study_of(tmp_path, url, StudySettings())
    one, other = invite(study, 2)
    with study.database.writing() as session:
        assignment = current(session, one, study.settings)
        assert assignment is not None
        key, side = assignment.id, assignment.swapped
    first = Given("left", 0, seconds=4, comment="so")
    for given, who, outcome in (
        (replace(first, revision=1), one, "changed elsewhere"),
        (first, other, "unknown"),
        (first, one, "stored"),
        (first, one, "there already"),
        (replace(first, side="right"), one, "changed elsewhere"),
        (Given("equal", 1, seconds=3), one, "stored"),
        (Given("equal", 1, seconds=3), one, "there already"),
        (Given("right", 1), one, "changed elsewhere"),
        (Given("right", 3), one, "changed elsewhere"),
    ):
        with study.database.writing() as session:
            assert store_answer(session, who, key, given) == outcome
    (told,) = judgements(study)
    assert (told.choice, told.seconds, told.comment, told.judge) == ("equal", 7, "", "1")
    with study.database.reading() as session:
        (before,) = session.scalars(sa.select(Superseded)).all()
        assert (before.choice, before.comment) == (unsided("left", side), "so")
    row = {"revision": 0, "choice": "first", "questions": {}, "comment": "", "answered_at": 0.0}
    with pytest.raises(sa.exc.IntegrityError), study.database.writing() as session:
        session.add(Answer(assignment_id=key, **row))
    with study.database.reading() as session:
        item = session.get_one(Assignment, key).item_id
    values = {"purpose": "study", "position": 99, "swapped": False, "shown_at": 0.0, "released": False}
    with pytest.raises(sa.exc.IntegrityError), study.database.writing() as session:
        session.add(Assignment(annotator_id=1, item_id=item, **values))
    study.database.close()


def test_a_pair_that_waits_too_long_goes_to_another_and_a_late_answer_still_counts(
    tmp_path: Path, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = study_of(tmp_path, url, StudySettings(annotators=1, conditions=("hyperfitted/greedy",)), contexts=1)
    late, next_one, third = invite(study, 3)
    with study.database.writing() as session:
        waits = current(session, late, study.settings)
        assert waits is not None
        key = waits.id
    with study.database.writing() as session:
        assert current(session, next_one, study.settings) is None
    monkeypatch.setattr(claims, "CLAIM", -1.0)
    with study.database.writing() as session:
        taken = current(session, next_one, study.settings)
        assert taken is not None
        assert taken.id != key
        assert store_answer(session, late, key, Given("left", 0)) == "stored"
        assert store_answer(session, next_one, taken.id, Given("right", 0)) == "stored"
        assert current(session, third, study.settings) is None
    assert len(judgements(study)) == 2
    study.database.close()


def test_a_study_goes_on_as_it_began(tmp_path: Path, url: str | None) -> None:
    settings = StudySettings(questions=("fluency",))
    folder = tmp_path / "study"
    assert not has_study(folder, url)
    study = study_of(tmp_path, url, settings)
    assert has_study(folder, url)
    runs = [tmp_path / "run"]
    again = open_study(folder, url)
    assert again.settings == settings
    assert again.secret == study.secret

    def pairs() -> list[Pair]:
        return pairs_of(runs, settings)

    check_same(again, runs, settings, pairs)
    with pytest.raises(UserError) as told:
        check_same(again, [tmp_path], replace(settings, design="pairs", gold=2), pairs)
    assert [problem.split(";")[0] for problem in told.value.problems] == [
        f"RUN was {runs[0]}, is now {tmp_path}",
        "--design was p1, is now pairs",
        "--gold was 0, is now 2",
    ]
    file = runs[0] / "samples" / "human.jsonl"
    file.write_text(file.read_text().replace("human,", "a human,"))
    with pytest.raises(UserError, match="have changed since the study began"):
        check_same(again, runs, settings, pairs)
    check_unchanged(again, StudySettings())
    check_unchanged(again, settings)
    with pytest.raises(UserError) as told:
        check_unchanged(again, StudySettings(annotators=5, questions=("interest",)))
    assert [problem.split(";")[0] for problem in told.value.problems] == [
        "--annotators was 3, is now 5",
        "--questions was fluency, is now interest",
    ]
    for one in (study, again):
        one.database.close()


def test_progress_counts_what_is_left_for_an_annotator(tmp_path: Path) -> None:
    study = study_of(tmp_path, None, StudySettings(per_annotator=4, gold=1))
    (person,) = invite(study, 1)
    seen = []
    while True:
        with study.database.writing() as session:
            assignment = current(session, person, study.settings)
            now = progress(session, person, study.settings)
            seen.append((now.done, now.total))
            if assignment is None:
                break
            store_answer(session, person, assignment.id, Given("left", 0))
    assert seen == [(done, 5) for done in range(6)]
    study.database.close()


def test_the_owner_sees_agreement_worked_by_hand(tmp_path: Path) -> None:
    study = study_of(tmp_path, None, StudySettings(annotators=2))
    items: list[int] = []
    for number, person in enumerate(invite(study, 2)):
        while True:
            with study.database.writing() as session:
                assignment = current(session, person, study.settings)
                if assignment is None:
                    break
                key, item, swapped = assignment.id, assignment.item_id, assignment.swapped
            items += [] if item in items else [item]
            first = items.index(item) < (5 if number else 6)  # of 20 both first 5 times, apart once
            side = ("right" if swapped else "left") if first else "equal"
            with study.database.writing() as session:
                store_answer(session, person, key, Given(side, 0))
    found = overview(study)
    assert (found.answers, found.complete) == (40, 20)
    assert found.agreement == pytest.approx(19 / 20)
    assert found.chance == pytest.approx((11 / 40) ** 2 + (29 / 40) ** 2)
    assert found.alpha == pytest.approx(1 - 39 * 2 / (2 * 11 * 29))
    study.database.close()


def test_where_there_is_no_study(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no study"):
        open_study(tmp_path / "nothing")
    for bad in ("nonsense", "postgresql://owner:secret@/none?host=/nowhere", "oracle+none://x"):
        with pytest.raises(UserError, match="--database") as told:
            open_study(tmp_path, bad)
        assert "secret" not in str(told.value)


@pytest.mark.parametrize("swapped", [False, True])
def test_sides_and_texts_lead_to_each_other(swapped: bool) -> None:
    for side in SIDES:
        assert sided(unsided(side, swapped), swapped) == side
