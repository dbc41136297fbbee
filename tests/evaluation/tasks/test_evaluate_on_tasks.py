"""Both models of a run on tasks: the numbers as lm-eval itself finds them, where they are shown, and every refusal."""

import csv
import json
import math
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError, pip_install
from hyperfit.evaluation.evaluate import evaluate
from hyperfit.evaluation.settings import CONTINUATION, EvaluationSettings
from hyperfit.evaluation.tasks.both import rows
from hyperfit.evaluation.tasks.scores import Scores
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference, paired_share_difference, share_estimate
from hyperfit.report.tables.evaluations.tasks import task_tables
from hyperfit.runs.directory import RunDir
from hyperfit.training.train import train
from small_evaluations import copied, settings_for
from small_runs import SPOKEN, quiet, recipe_for
from small_tasks import CHOICE, READ, WRITE, write_tasks
from stand_in_vllm import install
from tiny_chats import save_chat_model, write_chats

lm_eval = pytest.importorskip("lm_eval", reason="lm-eval is not installed")
TaskManager = pytest.importorskip("lm_eval.tasks").TaskManager

ROWS = [
    {
        "question": " ".join(SPOKEN[number : number + 4]),
        "choices": [f"{SPOKEN[number + 4]}", f"{SPOKEN[number - 7]} {SPOKEN[number - 2]}", SPOKEN[number - 3]],
        "answer": number % 3,
        "said": "a",
    }
    for number in range(12)
]
LIMIT = 8


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks") / "t", CHOICE, READ, rows=ROWS)


@pytest.fixture
def others(folder: Path) -> str:
    """Texts to continue; a copied run does not lie beside them."""
    return str(folder / "others.jsonl")


def flags(run: RunDir, others: str, *more: str) -> list[str]:
    small = ["--contexts", others, "--most-contexts", "3", "--context", "16", "--total", "40"]
    return ["evaluate", str(run.path), *small, "--decodings", "greedy", "--blocked", "--device", "cpu", *more]


def by_itself(model: str, *files: Path, limit: int | None = None, adapter: str | None = None) -> Any:
    """({task: measures}, {task: samples}) as lm-eval finds them for a model that it loads itself."""
    given = {"pretrained": model, **({"peft": adapter} if adapter else {}), "dtype": "float32"}
    with warnings.catch_warnings(action="ignore"):
        found = lm_eval.simple_evaluate(
            model="hf",
            model_args=given,
            tasks=[str(file) for file in files],
            limit=limit,
            device="cpu",
            bootstrap_iters=0,
            batch_size=1,
            task_manager=TaskManager(include_defaults=False),
        )
    samples = {name: sorted(rows, key=lambda one: one["doc_id"]) for name, rows in found["samples"].items()}
    return found["results"], samples


def a_word(samples: list[dict[str, Any]]) -> list[float]:
    """Nats a word of each example."""
    return [-known / count for known, count in (one["word_perplexity"] for one in samples)]


# The numbers


def test_both_models_score_what_lm_eval_finds_by_itself(run: RunDir, tasks: Path) -> None:
    found = evaluate(run, settings_for(run, most_contexts=3, total=40, blocked=(), tasks=(str(tasks),)))["tasks"]
    assert list(found) == ["next_word", "read"]
    base = run.recipe.model
    tuned = (base, str(run.result)) if run.recipe.adapters else (str(run.result), None)

    files = tasks / "next_word.yaml", tasks / "read.yaml"
    measures, before = by_itself(base, *files)
    others, after = by_itself(tuned[0], *files, adapter=tuned[1])

    chosen = found["next_word"]
    assert (chosen["measure"], chosen["loss"], chosen["chance"]) == ("acc", False, pytest.approx(1 / 3))
    for model, one in (("base", measures), ("hyperfitted", others)):
        assert chosen[model]["value"] == pytest.approx(one["next_word"]["acc,none"])
    one, two = ([sample["acc"] for sample in samples["next_word"]] for samples in (before, after))
    assert one != two, "what learned nothing shows nothing"
    assert chosen["base"] == share_estimate(one).to_dict()
    assert chosen["hyperfitted"] == share_estimate(two).to_dict()
    assert chosen["difference"] == paired_share_difference(two, one).to_dict()
    assert chosen["difference"]["n"] == len(ROWS)

    one, two = (a_word(samples["read"]) for samples in (before, after))
    losses = found["read"]
    assert (losses["measure"], losses["loss"], losses["chance"]) == ("word_perplexity", True, None)
    for name, wanted in (
        ("base", estimate(one)),
        ("hyperfitted", estimate(two)),
        ("difference", paired_difference(two, one)),
    ):
        assert losses[name] == pytest.approx(wanted.to_dict(), rel=1e-4), name
    assert math.exp(np.average(two, weights=[len(row["question"].split()) for row in ROWS])) == pytest.approx(
        others["read"]["word_perplexity,none"], rel=1e-4
    )
    assert losses["difference"]["high"] < 0, "of the kind of text that it was trained on"


def test_a_limit_takes_the_first_examples(adapted: RunDir, others: str, tasks: Path) -> None:
    settings = settings_for(
        adapted, contexts=(others,), most_contexts=3, total=40, blocked=(), tasks=(str(tasks / "read.yaml"),)
    )
    found = evaluate(adapted, settings_with(settings, task_limit=LIMIT))["tasks"]["read"]
    _, samples = by_itself(adapted.recipe.model, tasks / "read.yaml", limit=LIMIT)
    assert len(samples["read"]) == found["base"]["n"] == found["difference"]["n"] == LIMIT
    assert found["base"]["value"] == pytest.approx(np.mean(a_word(samples["read"])), rel=1e-4)


def settings_with(settings: EvaluationSettings, **changes: Any) -> EvaluationSettings:
    return EvaluationSettings(**{**vars(settings), **changes})


def test_transformers_does_the_tasks_of_every_backend(
    adapted: RunDir, others: str, tasks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(adapted, contexts=(others,), most_contexts=3, total=40, blocked=(), tasks=(str(tasks),))
    ours = evaluate(adapted, settings)
    engine = install(monkeypatch)
    theirs = evaluate(adapted, settings_with(settings, backend="vllm"))
    assert engine.made, "the texts are its own"
    assert theirs["tasks"] == ours["tasks"]


def test_a_run_on_chats_does_tasks_too(tmp_path: Path, tasks: Path) -> None:
    """Without its template, as the study does."""
    model = str(save_chat_model(tmp_path / "model"))
    answers = [f"{SPOKEN[n]} went {SPOKEN[n + 1]} by {SPOKEN[n + 2]} and on" for n in range(10)]
    data = str(write_chats(tmp_path / "chats.jsonl", [[f"{n}?", one] for n, one in enumerate(answers)]))
    run = train(recipe_for((model, data), length=64, epochs=1, heldout=0.3), tmp_path / "run", notify=quiet)
    settings = EvaluationSettings(
        context=4, total=12, decodings=("greedy",), blocked=(), device="cpu", tasks=(str(tasks / "read.yaml"),)
    )
    found = evaluate(run, settings)["tasks"]["read"]
    _, samples = by_itself(model, tasks / "read.yaml")
    assert found["base"]["value"] == pytest.approx(np.mean(a_word(samples["read"])), rel=1e-4)


def scores(right: list[int], of: int, *, loss: bool = False, chance: float = 0.25) -> Scores:
    values = [float(number in right) + 0.5 * loss for number in range(of)]
    return Scores("ppl" if loss else "acc", values, [f"h{number}" for number in range(of)], loss, chance)


def test_a_group_is_one_task_over_all_examples_with_its_parts() -> None:
    """Law 1 of 2 and logic 1 of 6 make 2 of 8; hyperfitted, both of law and none of logic."""
    base = {"law": scores([0], 2, chance=0.5), "logic": scores([3], 6)}
    tuned = {"law": scores([0, 1], 2, chance=0.5), "logic": scores([], 6)}
    ((name, found),) = rows("both", base, tuned)
    assert (name, found["base"]["value"], found["base"]["n"], found["chance"]) == ("both", 0.25, 8, 0.3125)
    assert (found["hyperfitted"]["value"], found["difference"]["value"]) == (0.25, 0.0)
    assert found["difference"] == paired_share_difference([1, 1, *[0] * 6], [1, 0, 0, 0, 0, 1, 0, 0]).to_dict()
    assert [found["parts"][part]["difference"]["value"] for part in ("law", "logic")] == [0.5, pytest.approx(-1 / 6)]
    whole, parts = task_tables({"tasks": {"both": found}})
    assert [row.name for row in whole.rows] == ["both, acc"]
    assert [row.name for row in parts.rows] == ["both: law, acc", "both: logic, acc"]
    assert [cell.value for cell in parts.rows[0].cells] == ["50.0", "100.0", "+50.0", "50.0"]


def test_losses_of_a_group_are_tasks_by_themselves() -> None:
    base = {"law": scores([0], 4, loss=True, chance=math.nan), "logic": scores([0, 1], 4, loss=True, chance=math.nan)}
    found = dict(rows("both", base, base))
    assert list(found) == ["law", "logic"]
    assert found["law"]["base"]["value"] == 0.75
    (sheet,) = task_tables({"tasks": found})
    assert (sheet.name, sheet.unit, [len(row.cells) for row in sheet.rows]) == ("task-losses", "examples", [3, 3])


# The command


def test_the_command_shows_tasks_everywhere(
    adapted: RunDir, others: str, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [CONTINUATION, str(tasks / "next_word.yaml")]
    main(flags(adapted, others, "--tasks", *names, "--task-limit", str(LIMIT)))
    said = capsys.readouterr()
    assert "Scores on tasks" in said.out
    assert "it/s" not in said.err, "no bars of others"
    kept = json.loads((adapted.path / "evaluation.json").read_text())
    found = kept["tasks"]
    assert list(found) == [CONTINUATION, "next_word"]
    assert found[CONTINUATION]["chance"] == 0.25
    assert all(one["n"] == LIMIT for task in found.values() for one in (task["base"], task["difference"]))
    settings = kept["settings"]
    assert (settings["tasks"], settings["task_limit"]) == (names, LIMIT)
    assert settings["lm_eval"] == lm_eval.__version__

    with (adapted.path / "tables" / "tasks.csv").open() as file:
        told = {(row["row"], row["measure"]): row for row in csv.DictReader(file)}
    for task, one in found.items():
        for key, measure in (("base", "task_base"), ("hyperfitted", "task_hyperfitted"), ("difference", "task_change")):
            row = told[f"{task}, acc", measure]
            assert [float(row[end]) for end in ("value", "low", "high")] == [
                one[key][end] for end in ("value", "low", "high")
            ]
            assert int(row["n"]) == LIMIT
    assert r"change, points" in (adapted.path / "tables" / "tasks.tex").read_text()

    page = (adapted.path / "report.html").read_text()
    section = page.partition('<section id="tasks">')[2].partition("</section>")[0]
    assert f"the first {LIMIT} of each task" in section
    for key, sign in (("base", ""), ("hyperfitted", ""), ("difference", "+")):
        one = Estimate.from_dict(found[CONTINUATION][key])
        assert f"<td>{percent(one.value, sign)} <small>[{percent(one.low, sign)}, {percent(one.high, sign)}]" in section
    assert '<a href="#tasks">' in page
    main(["report", str(adapted.path)])
    assert (adapted.path / "report.html").read_text() == page

    capsys.readouterr()
    main(flags(adapted, others, "--tasks", *names, "--task-limit", str(LIMIT), "--json"))
    printed = json.loads(capsys.readouterr().out)
    assert printed["tasks"] == found, "the same models, the same numbers"
    numbers = printed["tables"]["tasks"]["numbers"]
    assert {one["row"] for one in numbers} == {f"{CONTINUATION}, acc", "next_word, acc"}


def percent(value: float, sign: str) -> str:
    """As the page writes it, worked out here."""
    text = f"{abs(100 * value):.1f}"
    return ("" if text == "0.0" else "−" if value < 0 else sign) + text


def test_evaluations_without_tasks_are_as_before(
    adapted: RunDir, others: str, tasks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone, and beside one with tasks."""
    main(flags(adapted, others))
    kept = json.loads((adapted.path / "evaluation.json").read_text())
    assert {"tasks", "task_limit", "lm_eval"} & {*kept, *kept["settings"]} == set()
    assert 'id="tasks"' not in (adapted.path / "report.html").read_text()
    assert not list((adapted.path / "tables").glob("task*"))
    assert "on tasks" not in capsys.readouterr().out

    other = copied(adapted.path, tmp_path / "other")
    main(flags(other, others, "--tasks", str(tasks)))
    scored = json.loads((other.path / "evaluation.json").read_text())["tasks"]["next_word"]
    page = tmp_path / "both.html"
    main(["report", str(adapted.path), str(other.path), "-o", str(page)])
    html = page.read_text()
    assert html.count("other: next_word, acc") == 1
    assert f"<td>{percent(scored['base']['value'], '')} <small>" in html
    assert "run: next_word" not in html


# What is refused


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """Run a command that must end with status 2; its messages."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    assert ended.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    return [line.removeprefix("hyperfit: ") for line in lines if line.startswith("hyperfit: ")]


@pytest.fixture
def nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperfit.evaluation.observe.load_any", None)


@pytest.mark.usefixtures("nothing_is_loaded")
def test_without_lm_eval_it_is_said_how_to_install_it(
    adapted: RunDir, others: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    told = refused(capsys, *flags(adapted, others, "--tasks", "hellaswag"))
    assert told == [f"--tasks: needs lm-eval, and lm_eval is missing; {pip_install('lm-eval')}"]
    assert not (adapted.path / "evaluation.json").exists()


@pytest.mark.usefixtures("nothing_is_loaded", "few_own")
def test_every_problem_is_told_before_a_model_is_loaded(
    adapted: RunDir, others: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("- just a list\n")
    names = ["next_wrod", "builtin:continuatoin", str(tmp_path / "bad.yaml"), "mmlu_law", str(tmp_path / "gone.yaml")]
    told = refused(capsys, *flags(adapted, others, "--tasks", *names, "--device", "cuda:99", "--coherence", "./none"))
    for begins, part in (
        ("--device cuda:99", ""),
        ("--coherence ./none", ""),
        ("--tasks next_wrod", "did you mean next_word?"),
        ("--tasks builtin:continuatoin", f"did you mean {CONTINUATION}?"),
        (f"--tasks {tmp_path / 'bad.yaml'}", "cannot be read as a task ("),
        ("--tasks mmlu_law", "its data set could not be had ("),
        (f"--tasks {tmp_path / 'gone.yaml'}", "neither a task of lm-eval, nor a YAML file or folder here"),
    ):
        (line,) = [line for line in told if line.startswith(f"{begins}: ")]
        assert part in line
    assert len(told) == 7
    assert not (adapted.path / "evaluation.json").exists()


def test_a_task_that_the_model_cannot_do_leaves_nothing(
    adapted: RunDir, others: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hyperfit.evaluation.observe.write", None)  # no text is written before
    long = {**WRITE, "generation_kwargs": {"max_gen_toks": 900, "until": ["\n\n"]}}
    folder = write_tasks(tmp_path / "t", long)
    before = {path.name for path in adapted.path.iterdir()}
    (told,) = refused(capsys, *flags(adapted, others, "--tasks", str(folder)))
    assert told.startswith("--tasks write: does not fit into the 512 positions of the model")
    assert {path.name for path in adapted.path.iterdir()} == before


def test_tasks_of_another_shape_are_told(adapted: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    file = adapted.path / "evaluation.json"
    file.write_text(json.dumps({"conditions": {}, "tasks": ["acc"]}))
    (told,) = refused(capsys, "report", str(adapted.path))
    assert told == f"{file}: cannot be read (its tasks have no names); repeat hyperfit evaluate"


def test_flags_that_go_together(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    texts = refused(capsys, "evaluate", "--texts", str(tmp_path / "x.jsonl"), "--tasks", "mmlu", "--task-limit", "3")
    assert texts == [
        "--tasks: is not for --texts; it goes with a RUN; leave it out",
        "--task-limit: is not for --texts; it goes with a RUN; leave it out",
    ]
    with pytest.raises(UserError) as error:
        EvaluationSettings(task_limit=0)
    assert error.value.problems == (
        "--task-limit 0: give 1 or more, below 2^63",
        "--task-limit: says how much is done of --tasks; give these, too, or leave it out",
    )


def test_none_after_the_flag_is_refused(adapted: RunDir, others: str, capsys: pytest.CaptureFixture[str]) -> None:
    wanted = f"--tasks: names none; give names, such as {CONTINUATION}, or leave it out"
    assert refused(capsys, *flags(adapted, others, "--tasks")) == [wanted]
    assert refused(capsys, *flags(adapted, others, "--tasks", "--task-limit", "3")) == [wanted]
    assert not (adapted.path / "evaluation.json").exists()
    with pytest.raises(UserError, match="--tasks: names none"):
        EvaluationSettings(tasks=())


@pytest.mark.usefixtures("few_own")
def test_names_are_told_with_what_is_wrong_with_other_flags(
    adapted: RunDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.yaml").write_text("task: [\n")
    tasks = ["--tasks", "next_wrod", str(tmp_path / "bad.yaml"), "next_word"]
    wrong = [
        "--tasks next_wrod: neither a task of lm-eval",
        f"--tasks {tmp_path / 'bad.yaml'}: cannot be read as a task",
    ]
    run, nowhere = str(adapted.path), str(tmp_path / "nowhere")
    for arguments, other in (
        ([run, "--total", "4", *tasks], ["--total 4: "]),
        ([run, "--tokenizer", "builtin:tiny", *tasks], ["--tokenizer: is not for a RUN"]),
        ([nowhere, "--tokenizer", "builtin:tiny", *tasks], ["--tokenizer: is not for", f"{nowhere}: no run here"]),
    ):
        told = refused(capsys, "evaluate", *arguments)
        for begins in [*other, *wrong]:
            assert sum(line.startswith(begins) for line in told) == 1, told
        assert len(told) == len(other) + len(wrong)


@pytest.mark.usefixtures("few_own")
def test_names_are_told_with_what_is_wrong_with_a_study(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, texts = world
    gone, out = str(tmp_path / "gone"), str(tmp_path / "out")
    small = ["study", "downstream", "--tasks", "next_wrod", "--output", out, "--seeds", "1", "--device", "cpu"]
    told_of_tasks = (
        "--tasks next_wrod: neither a task of lm-eval, nor a YAML file or folder here; did you mean next_word?"
    )
    for more, begins in (
        (["--model", model, "--data", texts, "--total", "3"], "--total 3: "),
        (["--model", gone, "--data", texts], f"--model {gone}: "),
        (["--model", model, "--data", gone], f"--data {gone}: "),
        (["--model", model, "--data", texts, "--length", "900"], f"--data {texts}: gives 0 training sequences"),
    ):
        first, *others = refused(capsys, *small, *more)
        assert first.startswith(begins)
        assert others == [told_of_tasks]
    right = [
        "--data",
        texts,
        "--samples",
        "4",
        "--length",
        "24",
        "--contexts",
        texts,
        "--context",
        "6",
        "--total",
        "24",
    ]
    assert refused(capsys, *small, "--model", model, *right, "--most-contexts", "4") == [told_of_tasks]
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())
