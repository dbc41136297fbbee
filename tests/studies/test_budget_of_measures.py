"""A budget counts what is still to be measured of what is trained, and of the base model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hyperfit.studies.grid import schedule
from hyperfit.studies.grid.plan import Planner
from hyperfit.studies.run import run_studies
from hyperfit.studies.settings import StudySettings
from small_runs import quiet
from small_studies import settings_for

pytestmark = pytest.mark.usefixtures("short")
SEEDS = 2
CONTEXTS = 4


@pytest.fixture
def settings(world: tuple[str, str]) -> StudySettings:
    """Of a study of one training a seed, each measured on greedy texts."""
    return settings_for(world, seeds=SEEDS, most_contexts=CONTEXTS)


@pytest.fixture
def folder(settings: StudySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The study done; from now on a text is said to take 10 s."""
    run_studies(["curves"], settings, tmp_path, notify=quiet)
    monkeypatch.setattr(Planner, "of_a_text", property(lambda self: 10.0))
    return tmp_path


def test_a_study_that_is_done_stays_so_where_another_wants_more_of_its_trainings(
    settings: StudySettings, folder: Path
) -> None:
    """``main`` writes in twenty ways, for which there is no time."""
    before = (folder / "curves.json").read_text()
    lines: list[str] = []
    found = run_studies(["curves", "main"], settings, folder, budget=50, notify=lines.append)
    assert list(found) == ["curves"]
    assert "main: left out, as none of its trainings is done and measured" in lines
    assert (folder / "curves.json").read_text() == before


def test_a_plan_leaves_what_is_damaged_as_it_is(settings: StudySettings, folder: Path) -> None:
    """It is to be trained again, and is not before the plan is told."""
    (first, *_) = sorted((folder / "runs").iterdir())
    (first / "environment.json").write_text("{")
    there = sorted(path.name for path in first.iterdir())
    lines = plan(settings, folder)
    assert lines[0] == "2 trainings, 1 of them done"
    assert sorted(path.name for path in first.iterdir()) == there
    assert (first / "environment.json").read_text() == "{"
    run_studies(["curves"], settings, folder, notify=quiet)
    assert plan(settings, folder) == ["2 trainings, 2 of them done"]


def plan(settings: StudySettings, folder: Path, budget: float | None = None) -> list[str]:
    lines: list[str] = []
    run_studies(["curves"], settings, folder, budget=budget, dry_run=True, notify=lines.append)
    return lines


def forget(folder: Path, *, tuned: bool) -> list[Path]:
    """Remove the texts of the base model, or of the tuned ones."""
    base = json.loads((folder / "model.json").read_text())["weights"]
    gone = []
    for file in (folder / "measured").glob("*.json"):
        of = json.loads(file.read_text())["of"]
        if of["what"] == "texts" and (of["model"] != base) == tuned:
            file.unlink()
            gone.append(file)
    return gone


def test_nothing_is_left_where_all_is_measured(settings: StudySettings, folder: Path) -> None:
    assert plan(settings, folder) == ["2 trainings, 2 of them done"]


def test_what_is_to_be_measured_is_planned_and_left_out_where_it_does_not_fit(
    settings: StudySettings, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """4 texts of 10 s each for every one of two models: 40 s, of which a budget of 50 s has room for one."""
    now = iter(range(0, 1000, 8))
    monkeypatch.setattr(schedule.time, "monotonic", lambda: float(next(now)))
    gone = forget(folder, tuned=True)
    assert len(gone) == SEEDS
    told = [f"  to-near-zero-loss-seed{seed} (curves): about 40 s to measure it" for seed in range(SEEDS)]
    assert plan(settings, folder)[-2:] == told
    assert plan(settings, folder, 50)[-2:] == [told[0], f"{told[1]}; left out: more than is left of the budget"]
    lines: list[str] = []
    run_studies(["curves"], settings, folder, budget=50, notify=lines.append)
    assert sum(file.exists() for file in gone) == 1, "the budget is kept, whatever is trained already"
    assert any(line.startswith("left out, as the budget is used up: to-near-zero-loss-seed1 ") for line in lines)
    run_studies(["curves"], settings, folder, notify=quiet)
    assert all(file.exists() for file in gone)


def test_the_base_model_is_counted(settings: StudySettings, folder: Path) -> None:
    """4 texts of the base and 4 of one seed: 80 s."""
    assert forget(folder, tuned=False)
    forget(folder, tuned=True)
    lines = plan(settings, folder, 90)
    assert "and about 40 s to measure the base model" in lines
    assert [line.endswith("left out: more than is left of the budget") for line in lines[-2:]] == [False, True]


def test_a_study_without_any_training_is_left_out(
    settings: StudySettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is measured of the base model for it, and nothing told."""
    one = Planner.one
    monkeypatch.setattr(
        Planner, "one", lambda self, wanted: replace(one(self, wanted), seconds=1e6 * (wanted.studies == ("dynamics",)))
    )
    lines: list[str] = []
    found = run_studies(["curves", "dynamics"], settings, tmp_path, budget=600, notify=lines.append)
    assert list(found) == ["curves"]
    assert "dynamics: left out, as none of its trainings is done and measured" in lines
    assert not (tmp_path / "dynamics.json").exists()
