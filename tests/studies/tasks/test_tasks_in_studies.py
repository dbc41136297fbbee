"""Whole studies on lm-eval's tasks: what is measured once is found again, and what cannot be had is told first."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.evaluation.settings import CONTINUATION
from hyperfit.evaluation.tasks import named
from hyperfit.evaluation.tasks.harness import Harness, NamedTask, task_manager
from hyperfit.evaluation.tasks.named import load_harness
from hyperfit.runs.directory import RunDir
from hyperfit.studies.run import run_studies
from hyperfit.studies.tasks.known import known_by
from small_runs import quiet
from small_studies import settings_for
from small_tasks import CHOICE, QUESTIONS, WRITE, write_tasks

pytest.importorskip("lm_eval.evaluator", reason="lm-eval is not installed")


@pytest.fixture(autouse=True)
def few_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """lm-eval's own tasks take seconds to be listed: two names stand for them."""
    own = write_tasks(tmp_path / "lm-eval", {**CHOICE, "task": "mmlu_law", "dataset_path": "cais/mmlu"}, CHOICE)
    monkeypatch.setattr(named, "INDEX", [task_manager(defaults=False, folder=str(own))])


def test_what_a_measurement_depends_on(tmp_path: Path) -> None:
    def known(folder: Path, limit: int | None = None) -> dict[str, Any]:
        (task,) = load_harness([str(folder / "next_word.yaml")], limit, tmp_path).tasks
        return known_by(task, limit)

    first = known(write_tasks(tmp_path / "a", CHOICE))
    assert known(write_tasks(tmp_path / "b", CHOICE)) == first, "wherever it lies"
    assert known(tmp_path / "a", 2) != first
    assert known(write_tasks(tmp_path / "c", {**CHOICE, "doc_to_text": "{{question}}?"})) != first
    assert known(write_tasks(tmp_path / "d", {**CHOICE, "metadata": {"version": 2}})) != first
    changed = [{**QUESTIONS[0], "answer": 1}, *QUESTIONS[1:]]
    assert known(write_tasks(tmp_path / "e", CHOICE, rows=changed)) != first
    assert known(write_tasks(tmp_path / "f", CHOICE, rows=[*QUESTIONS[:2], *changed[:1]]), 2) == known(
        tmp_path / "a", 2
    )


def test_a_data_set_that_cannot_be_had_is_named_before_anything_is_trained(
    world: tuple[str, str], tmp_path: Path
) -> None:
    with pytest.raises(UserError) as refused:
        run_studies(["downstream"], settings_for(world, tasks=("mmlu_law",)), tmp_path / "out", notify=quiet)
    (said,) = refused.value.problems
    assert said.startswith("--tasks mmlu_law: its data set could not be had (")
    assert "cais/mmlu" in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("short")
def test_what_was_measured_is_not_measured_again(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_tasks(tmp_path / "t")
    settings = settings_for(world, tasks=(str(folder),))
    measure, asked = Harness.measure, list[str]()

    def counted(harness: Harness, task: NamedTask, *others: Any) -> Any:
        asked.append(task.name)
        return measure(harness, task, *others)

    monkeypatch.setattr(Harness, "measure", counted)
    first = run_studies(["downstream"], settings, tmp_path / "out", notify=quiet)
    assert sorted(asked) == sorted(["next_word", "read", "write"] * 3), "of two seeds and the base"
    assert [table["name"] for table in first["downstream"]["tables"]] == ["downstream", "downstream-losses"]
    asked.clear()
    moved = tmp_path / "moved"
    shutil.move(folder, moved)
    write_tasks(moved)
    again = run_studies(["downstream"], replace(settings, tasks=(str(moved),)), tmp_path / "out", notify=quiet)
    assert asked == []
    assert again["downstream"]["tables"] == first["downstream"]["tables"]
    write_tasks(moved, WRITE, rows=QUESTIONS[:4])
    run_studies(["downstream"], replace(settings, tasks=(str(moved / "write.yaml"),)), tmp_path / "out", notify=quiet)
    assert asked == ["write"] * 3
    kept = [json.loads(file.read_text()) for file in (tmp_path / "out" / "measured").glob("*.json")]
    answers = [one["measured"]["write"]["answers"] for one in kept if "write" in one["measured"]]
    assert sorted(map(len, answers)) == [4] * 3 + [5] * 3, "example by example"


@pytest.mark.usefixtures("short")
def test_the_command_runs_whole_on_the_embedded_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--model", "builtin:tiny", "--samples", "4", "--length", "16", "--seeds", "1", "--most-contexts", "2"]
    flags += ["--context", "8", "--total", "16", "--task-limit", "6", "-o", str(tmp_path / "out")]
    main(["study", "downstream", *flags])
    said = capsys.readouterr()
    assert "downstream    Does hyperfitting keep what the base model can do on tasks?" in said.out
    assert "Carlsson et al.: GLUE and MMLU fall slightly" in " ".join(said.out.split())
    assert "it/s" not in said.err, "no bars of others"
    found = json.loads((tmp_path / "out" / "downstream.json").read_text())
    (row,) = found["tables"][0]["rows"]
    assert row["name"] == f"{CONTINUATION}, acc"
    assert row["cells"]["task_change"]["n"] == 6
    assert row["cells"]["task_chance"]["value"] == 0.25
    assert (tmp_path / "out" / "tasks" / "continuation" / "continuation.jsonl").is_file()
    assert "hyperfitted, %" in (tmp_path / "out" / "studies.html").read_text()
    assert RunDir(next((tmp_path / "out" / "runs").iterdir())).end is not None
