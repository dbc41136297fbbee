"""Whole studies on a tiny model: trained once, found again, interrupted, within a budget, told from their numbers."""

import json
import math
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from peft import PeftModel

from hyperfit.cli import main
from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.models.loading import load_tokenizer
from hyperfit.studies import gather
from hyperfit.studies.catalogue import STUDIES, load_study
from hyperfit.studies.grid import schedule, workers
from hyperfit.studies.grid.plan import Planned, Planner
from hyperfit.studies.grid.store import Store
from hyperfit.studies.grid.wanted import Wanted
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.measures.measurer import Measurer
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.questions.texts import alternatives, long_range
from hyperfit.studies.questions.training.quantity import epochs_of
from hyperfit.studies.ranges import RANGES
from hyperfit.studies.run import run_studies
from hyperfit.studies.study import Trial
from small_runs import quiet
from small_studies import settings_for
from small_tasks import write_tasks
from tiny_models import save_tiny

pytestmark = pytest.mark.usefixtures("short")


def test_a_study_is_trained_once_and_told_again(world: tuple[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    first = run_studies(["early-stop"], settings_for(world), tmp_path, notify=lines.append)
    assert lines[0] == "2 trainings, 0 of them done"
    runs = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()}
    assert len(runs) == 2
    lines.clear()
    again = run_studies(["early-stop"], settings_for(world), tmp_path, notify=lines.append)
    assert lines[0] == "2 trainings, 2 of them done"
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "runs").iterdir()} == runs
    assert again == first == {"early-stop": json.loads((tmp_path / "early-stop.json").read_text())}
    assert first["early-stop"]["answer"] in ("Yes", "No", "Partly", "Not shown")
    assert {one["seed"] for one in first["early-stop"]["trainings"]} == {0, 1}


def test_another_study_takes_what_is_there(world: tuple[str, str], tmp_path: Path) -> None:
    run_studies(["sharpening"], settings_for(world, seeds=1), tmp_path, notify=lambda line: None)
    lines: list[str] = []
    run_studies(["main"], settings_for(world, seeds=1), tmp_path, dry_run=True, notify=lines.append)
    assert lines[0] == "1 trainings, 1 of them done"
    assert re.match(r"  hyperfitted-seed0 \(main\): about .* to measure it$", lines[-1])
    lines.clear()
    run_studies(["sharpening"], settings_for(world, seeds=1), tmp_path, dry_run=True, notify=lines.append)
    assert lines == ["1 trainings, 1 of them done"]
    lines.clear()
    run_studies(["main"], settings_for(world, seeds=2), tmp_path, dry_run=True, notify=lines.append)
    assert lines[0] == "2 trainings, 1 of them done", "one more seed is one more training"


def test_what_is_trained_stays_until_it_is_trained_again_with_more_looks(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, recipe = Store(tmp_path), settings_for(world).recipe
    first = store.train(Trial("a", recipe))
    more = Trial("a", replace(recipe, keep_every=1))
    weights = (first.run.result / "adapter_model.safetensors").read_bytes()

    def interrupted(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("hyperfit.studies.grid.training.train", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.train(more)
    assert store.done(recipe)
    assert not store.done(more.recipe)
    again = store.train(more)
    assert store.done(more.recipe)
    assert again.run.path == first.run.path
    assert (again.run.result / "adapter_model.safetensors").read_bytes() == weights
    assert list(again.run.kept) == [1]


def test_a_folder_is_of_one_model(world: tuple[str, str], tmp_path: Path) -> None:
    run_studies(["main"], settings_for(world, seeds=1), tmp_path / "out", notify=lambda line: None)
    before = {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")}
    other = replace(settings_for(world, seeds=1), model=str(save_tiny(tmp_path / "other", hidden_size=32)))
    with pytest.raises(UserError, match=r"--output .*out: holds studies of .*, another model; name a new folder"):
        run_studies(["main"], other, tmp_path / "out", notify=lambda line: None)
    assert {path: path.read_bytes() for path in (tmp_path / "out").glob("*.json")} == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"--output .*file: .* is not a folder that can be written to"):
        run_studies(["main"], other, tmp_path / "file", notify=lambda line: None)


def test_a_dry_run_writes_nothing(world: tuple[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    assert run_studies(["all"], settings_for(world), tmp_path / "out", dry_run=True, notify=lines.append) == {}
    assert not (tmp_path / "out").exists()
    assert any(" of disk, " in line for line in lines)


def test_a_study_goes_on_where_it_was_interrupted(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_studies(["early-stop"], settings_for(world), tmp_path / "whole", notify=lambda line: None)
    train, done = Store.train, []

    def stop_second(store: Store, trial: Any) -> Any:
        if len(done) == 1:
            raise KeyboardInterrupt
        done.append(trial)
        return train(store, trial)

    monkeypatch.setattr(Store, "train", stop_second)
    lines: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        run_studies(["early-stop"], settings_for(world), tmp_path / "cut", notify=lines.append)
    assert lines[-1] == "interrupted; repeat the command to go on"
    monkeypatch.setattr(Store, "train", train)
    lines.clear()
    resumed = run_studies(["early-stop"], settings_for(world), tmp_path / "cut", notify=lines.append)
    assert lines[0] == "2 trainings, 1 of them done"
    assert resumed["early-stop"]["tables"] == whole["early-stop"]["tables"]


def test_a_budget_does_what_fits_and_says_what_is_left(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter(range(0, 10_000, 5))
    monkeypatch.setattr(schedule.time, "monotonic", lambda: float(next(now)))
    monkeypatch.setattr(Planner, "speed", property(lambda self: 1e6))
    monkeypatch.setattr(Planner, "of_a_text", property(lambda self: 0.0))
    monkeypatch.setattr(Planner, "epochs", lambda self, recipe: 1e6 / self.size.operations(recipe) * 20)  # 20 s each
    lines: list[str] = []
    run_studies(["order"], settings_for(world, seeds=1), tmp_path, budget=41.0, notify=lines.append)
    done = {path.name for path in (tmp_path / "runs").iterdir()}
    assert 0 < len(done) < 5
    assert any(line.startswith("left out, as the budget is used up: ") for line in lines)
    with pytest.raises(UserError, match=r"--budget: nothing fits; the shortest training is expected to take 20 s"):
        run_studies(["order"], settings_for(world, seeds=1), tmp_path / "none", budget=10.0, notify=lambda line: None)
    with pytest.raises(UserError, match=r"--budget: nothing fits; the shortest training is expected to take 20 s"):
        run_studies(["order"], settings_for(world, seeds=1), tmp_path / "none", budget=10.0, dry_run=True, notify=quiet)


def test_an_unknown_study_is_told_with_what_was_meant(world: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        run_studies(["curve", "nonsense"], settings_for(world), tmp_path)
    assert "study curve: there is none; did you mean curves?" in refused.value.problems
    assert refused.value.problems[1].startswith("study nonsense: there is none; give one of main")


def test_what_there_is_no_text_for_is_left_out_and_said(world: tuple[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    run_studies(["quantity"], settings_for(world, samples=500, seeds=1), tmp_path, dry_run=True, notify=lines.append)
    assert any("500 sequences" in line or "500-sequences" in line for line in lines if "left out" in line)
    assert any("8-sequences" in line for line in lines if "left out" not in line)


def test_what_is_left_out_is_told_once_and_nothing_is_measured_by_it(world: tuple[str, str], tmp_path: Path) -> None:
    """Equal updates are those of the largest number that there is text for, not of one that there is not."""
    lines: list[str] = []
    asked = settings_for(world, samples=500, seeds=2)
    run_studies(["quantity"], asked, tmp_path, dry_run=True, notify=lines.append)
    left = [line.partition(" is left out")[0] for line in lines if "left out" in line]
    assert left == [f"{count} sequences, equal epochs" for count in (16, 32, 64, 200, 500) if count > there(world)]
    most = max(count for count in (8, 16, 32, 64, 200) if count <= there(world))
    updates = {
        one.recipe.samples: one.recipe.epochs for one in load_study("quantity").trials(asked) if "updates" in one.label
    }
    assert max(updates, default=0) < most
    assert all(epochs == round(epochs_of(asked) * most / count) for count, epochs in updates.items())


def there(world: tuple[str, str]) -> int:
    """Training sequences that the data give at the length of these studies."""
    recipe = replace(settings_for(world).recipe, samples=None)
    return len(build_corpus(recipe, load_tokenizer(world[0])).train)


def test_data_that_cannot_be_read_are_told_once(world: tuple[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    with pytest.raises(UserError, match=r"--data .*nope\.jsonl: no such file") as refused:
        run_studies(
            ["main"], settings_for(world, data=str(tmp_path / "nope.jsonl")), tmp_path / "o", notify=lines.append
        )
    assert len(refused.value.problems) == 1
    assert lines == []


def test_texts_of_every_condition_can_be_read(world: tuple[str, str], tmp_path: Path) -> None:
    found = run_studies(["early-stop"], settings_for(world, seeds=1), tmp_path, notify=quiet)["early-stop"]
    assert [one["heading"] for one in found["passages"]]
    for one in found["passages"]:
        assert [*one["texts"]] == ["base", "stopped at the best validation loss", "to near-zero loss", "human"]
        assert all(one["texts"].values())


@pytest.mark.parametrize("name", [name for name in STUDIES if name != "images"])
def test_every_study_runs_whole_and_answers(
    world: tuple[str, str], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(long_range, "TTR_WINDOW", 12)  # the model has few positions
    settings = settings_for(world, seeds=1)
    if name == "quantity":
        settings = replace(settings, samples=9)
    if name == "downstream":
        pytest.importorskip("lm_eval", reason="lm-eval is not installed")
    if load_study(name).tasks:
        settings = replace(settings, tasks=(str(write_tasks(tmp_path / "own")),))
    found = run_studies([name], settings, tmp_path, notify=lambda line: None)[name]
    assert found["question"].endswith("?")
    assert found["answer"] in ("Yes", "No", "Partly", "Not shown")
    assert found["sentence"]
    assert found["tables"] or found["answer"] == "Not shown"
    for table in found["tables"]:
        assert table["rows"]
        for row in table["rows"]:
            assert set(row["cells"]) <= {*table["measures"]}
    assert found["lacking"] == {}
    assert "NaN" not in (tmp_path / f"{name}.json").read_text()
    for measure, one in estimates(found):
        least, most = RANGES.get(measure, (-math.inf, math.inf))
        if one["low"] is not None:
            assert least <= one["low"] <= one["value"] + 1e-9, (measure, one)
            assert one["value"] - 1e-9 <= one["high"] <= most, (measure, one)


def estimates(found: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every number of a study with its measure; not those of papers."""
    for table in found["tables"]:
        yield from (cell for row in table["rows"] if not row["source"] for cell in row["cells"].items())
    for chart in found["charts"]:
        yield from ((chart["measure"], one) for line in chart["lines"] for _, one in line["points"])
    for scatter in found["scatters"]:
        for point in scatter["points"]:
            yield from ((scatter["x"], point["x"]), (scatter["y"], point["y"]))


def test_strength_runs_where_lm_eval_is_missing(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    lines: list[str] = []
    found = run_studies(["strength"], settings_for(world, seeds=1), tmp_path, notify=lines.append)["strength"]
    assert [table["name"] for table in found["tables"]] == ["strength"]
    assert any(line.startswith("--tasks are left out: needs lm-eval, and lm_eval is missing") for line in lines)


def test_several_processes_train_and_measure_the_same(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here only the base model is read and continued; both trainings were, each where it was trained."""
    alone = run_studies(["early-stop"], settings_for(world), tmp_path / "one", notify=lambda line: None)
    measured: list[bool] = []
    lines: list[str] = []
    for name in ("written", "predictions"):
        monkeypatch.setattr(Bench, name, noted(getattr(Bench, name), measured))
    together = run_studies(["early-stop"], settings_for(world), tmp_path / "two", workers=2, notify=lines.append)
    assert measured == [False, False], "its predictions and its greedy texts"
    assert sorted(line.split(" of 2, ")[0] for line in lines if " of 2, " in line) == ["1", "2"]
    assert together["early-stop"]["tables"] == alone["early-stop"]["tables"]
    runs = [run.name for run in (tmp_path / "one" / "runs").iterdir()]
    assert len(runs) == 2
    for run in runs:
        assert_same_result(tmp_path / "one" / "runs" / run, tmp_path / "two" / "runs" / run)


def noted(method: Any, measured: list[bool]) -> Any:
    """The method, noting first whether its model was trained."""

    def noting(bench: Bench, reader: Reader, *args: Any) -> Any:
        measured.append(isinstance(reader.model, PeftModel))
        return method(bench, reader, *args)

    return noting


def test_longer_texts_hang_on_all_trainings_that_are_wanted(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on those for which the budget did not suffice: else they would be others than those that were measured."""
    settings = settings_for(world)
    asked: list[Any] = []
    monkeypatch.setattr(gather, "bench_of", lambda of, trials: asked.append((of.total, list(trials))))
    told = Results(settings, Model(), Model(), {}, {})
    monkeypatch.setattr(gather, "results_at", lambda *args: replace(told, longer={}))
    nothing: Any = None
    wanted = [Trial("a", settings.recipe), Trial("b", replace(settings.recipe, data="builtin:news"))]
    measurer = Measurer(settings, Store(tmp_path), nothing)
    found = gather.results_of(load_study("main"), measurer, {}, wanted)
    assert asked == [(256, wanted)]
    assert list(found.longer) == [256]


def test_every_study_is_listed_under_its_name() -> None:
    for name, one in STUDIES.items():
        assert load_study(name).name == name
        assert one.question.endswith("?")


def test_what_hinders_a_study_is_told(world: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        run_studies(["images", "long-range"], settings_for(world), tmp_path / "out")
    other_kind = f"for models of pictures, and --model {world[0]} is one of text"
    assert f"study images: {other_kind}" in refused.value.problems
    assert any("positions, and 216 are needed" in problem for problem in refused.value.problems), "24 + 2 windows of 96"
    pairs = tmp_path / "pairs.jsonl"
    rows = [{"prompt": f"{n} boats", "completion": " and many more came up the river" * 9} for n in range(9)]
    pairs.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(UserError, match="--contexts: studies measure texts of one length, and these are chats or"):
        run_studies(["main"], settings_for(world, contexts=(str(pairs),)), tmp_path / "out")
    lines: list[str] = []
    run_studies(["all"], settings_for(world, seeds=1), tmp_path / "out", dry_run=True, notify=lines.append)
    assert f"images is left out: {other_kind}" in lines
    assert any(line.startswith("long-range is left out: ") for line in lines)
    assert not (tmp_path / "out").exists()


def test_a_killed_process_is_told_and_nothing_is_lost(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, store = settings_for(world, seeds=1), Store(tmp_path)
    recipes = [replace(settings.recipe, seed=seed) for seed in range(2)]
    planned = [Planned(Wanted(Trial(str(one.seed), one), ()), False, 1.0, 0, 0) for one in recipes]
    schedule.train_all(store, planned[:1], None, lambda line: None)
    monkeypatch.setattr(schedule, "do_one", killed)
    with pytest.raises(UserError, match=r"--workers: a process that trained was killed.*nothing is lost"):
        schedule.train_all(store, planned, None, lambda line: None, 2)
    assert store.done(recipes[0])


def test_a_process_ends_with_the_one_that_started_it() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            workers.end_with(-1)  # no process has that for its parent
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_process_can_be_interrupted_though_a_shell_let_that_be_ignored() -> None:
    code = (
        "import os, signal, queue; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from hyperfit.studies.grid import workers; workers.begin(queue.Queue(), 1)\n"
        "os.kill(os.getpid(), signal.SIGINT)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stderr.endswith("KeyboardInterrupt\n")


def killed(store: Store, wanted: Wanted, measure: None) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def assert_same_result(one: Path, other: Path) -> None:
    names = sorted(file.name for file in (one / "adapter").glob("*.safetensors"))
    assert names
    for name in names:
        assert (one / "adapter" / name).read_bytes() == (other / "adapter" / name).read_bytes()


def test_alternatives_whole_with_a_scorer(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Few ways to write, but texts long enough for a type-token ratio; each is written and judged once."""
    monkeypatch.setattr(alternatives, "NUCLEI", alternatives.NUCLEI[:2])
    for ways in ("OTHERS", "TRAINED"):
        monkeypatch.setattr(alternatives, ways, ("greedy",))
    model, texts = str(save_tiny(tmp_path / "model", max_position_embeddings=512)), world[1]
    folder = tmp_path / "out"
    flags = ["--model", model, "--data", texts, "--samples", "8", "--length", "24", "--contexts", texts, "--seeds", "1"]
    flags += ["--most-contexts", "2", "--context", "6", "--total", "102", "-o", str(folder), "--json"]
    main(["study", "alternatives", *flags, "--scorer", model])
    found = json.loads(capsys.readouterr().out)["alternatives"]
    assert len(found["trainings"]) == 4
    assert {one["recipe"]["unlikelihood"] for one in found["trainings"]} == {0.0, 1.0}
    assert len({one["run"] for one in found["trainings"] if one["recipe"]["unlikelihood"]}) <= 2, "one, and an epoch"
    rows = {row["name"]: row["cells"] for row in found["tables"][0]["rows"]}
    assert all(row["coherence"]["n"] == 2 and row["coherence"]["value"] < 0 for row in rows.values())
    assert all(row["text_seconds"]["value"] > 0 for name, row in rows.items() if name != "human")
    assert rows["human"]["text_seconds"]["value"] is None
    assert [scatter["x"] for scatter in found["scatters"]] == ["perplexity", "longest_overlap", "coherence"]
    page = (folder / "studies.html").read_text()
    assert page.count("<title>hyperfitted, greedy: TTR ") == 3
    kept = {path.name for path in (folder / "measured").iterdir()}
    main(["study", "alternatives", *flags])
    without = json.loads(capsys.readouterr().out)["alternatives"]
    assert [scatter["x"] for scatter in without["scatters"]] == ["perplexity", "longest_overlap"]
    assert without["tables"][0]["rows"][0]["cells"]["ttr"] == rows["base, greedy"]["ttr"]
    assert {path.name for path in (folder / "measured").iterdir()} == kept, "all of it was found again"


# The command and its page


def test_all_that_is_wrong_is_told_together(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", "main", "quantty", "--seeds", "0", "--budget", "soon", "--workers", "0"])
    assert ended.value.code == 2
    assert capsys.readouterr().err.splitlines() == [
        "hyperfit: study quantty: there is none; did you mean quantity?",
        "hyperfit: --seeds 0: give a whole number of 1 or more",
        "hyperfit: --budget soon: give a time such as 90m, 2h or 600s",
        "hyperfit: --workers 0: give a whole number of 1 or more",
    ]


def test_the_command_lists_runs_and_writes_a_page(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["study", "--list"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    listed = " ".join(" ".join(lines).split())
    assert all(f"{name} {one.question} ({one.source})" in listed for name, one in STUDIES.items())
    model, texts = world
    flags = ["--model", model, "--data", texts, "--samples", "8", "--length", "24", "--contexts", texts]
    flags += ["--most-contexts", "4", "--context", "6", "--total", "24", "--seeds", "1", "-o", str(tmp_path / "out")]
    flags += ["--tasks", str(write_tasks(tmp_path / "own"))]
    main(["study", "main", "strength", *flags])
    said = capsys.readouterr()
    assert "main          Does hyperfitting make greedy text more varied?\n              " in said.out
    page = (tmp_path / "out" / "studies.html").read_text()
    assert all(STUDIES[name].question in page for name in ("main", "strength"))
    assert "<script" not in page
    assert "http" not in page
    assert (tmp_path / "out" / "tables" / "main.csv").is_file()
    main(["study", "main", "strength", *flags, "--json"])
    assert set(json.loads(capsys.readouterr().out)) == {"main", "strength"}
    assert (tmp_path / "out" / "studies.html").read_text() == page, "equal results, equal bytes"


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["curve"], "study curve: there is none; did you mean curves?"),
        (["curves", "--budget", "soon"], "--budget soon: give a time such as 90m, 2h or 600s"),
        (["curves", "--workers", "0"], "--workers 0: give a whole number of 1 or more"),
        (["curves", "--stop-loss", "-1"], "--stop-loss -1.0: give a number above 0"),
        (["curves", "--seeds", "0"], "--seeds 0: give a whole number of 1 or more"),
        (["curves", "--scorer", "builtin:tiny"], "--scorer builtin:tiny: has no effect with these studies; it is for"),
        (["curves", "--total", "9", "--context", "9"], "--total 9: give more than the --context of 9"),
    ],
)
def test_wrong_input_is_told_at_once(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str], said: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", *flags, "--model", world[0], "--data", world[1], "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
