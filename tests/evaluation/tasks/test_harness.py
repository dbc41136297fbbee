"""A model of ours on lm-eval's tasks: parity with a plain reading, what a name stands for, and what cannot be had."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.evaluation.settings import CONTINUATION
from hyperfit.evaluation.tasks.named import load_harness
from hyperfit.models.loading import load_model, load_tokenizer
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import quiet, recipe_for
from small_tasks import CHOICE, QUESTIONS, READ, WRITE, write_tasks

evaluator = pytest.importorskip("lm_eval.evaluator", reason="lm-eval is not installed")
CPU = torch.device("cpu")
pytestmark = pytest.mark.usefixtures("few_own")


@pytest.fixture(scope="module")
def model(world: tuple[str, str]) -> PreTrainedModel:
    return load_model(world[0], device=CPU, dtype=torch.float32)


@pytest.fixture(scope="module")
def tokenizer(world: tuple[str, str]) -> PreTrainedTokenizerBase:
    return load_tokenizer(world[0])


def loglikelihood(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, before: str, text: str) -> float:
    """Of a text after another, token by token."""
    ids = tokenizer(before)["input_ids"] if before else [tokenizer.bos_token_id]
    total = 0.0
    for token in tokenizer(text, add_special_tokens=False)["input_ids"]:
        with torch.no_grad():
            logits = model(torch.tensor([ids])).logits[0, -1]
        total += float(logits.log_softmax(-1)[token])
        ids = [*ids, token]
    return total


def measured(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, limit: int | None = None) -> Any:
    harness = load_harness([str(folder)], limit, folder)
    found = {}
    for task in harness.tasks:
        found |= harness.measure(task, model, tokenizer, CPU, "fp32")
    return found


# Parity


def test_multiple_choice_equals_a_plain_reading(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    found = measured(write_tasks(tmp_path / "t", CHOICE), model, tokenizer)["next_word"]
    plain = [
        [loglikelihood(model, tokenizer, one["question"], f" {choice}") for choice in one["choices"]]
        for one in QUESTIONS
    ]
    assert np.allclose(found.answers, plain, atol=1e-3)
    assert found.values == [float(np.argmax(row) == one["answer"]) for row, one in zip(plain, QUESTIONS, strict=True)]
    assert (found.measure, found.chance, found.loss) == ("acc", pytest.approx(1 / 3), False)
    assert len(set(found.examples)) == len(QUESTIONS)


def test_what_is_written_equals_plain_greedy_text(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    rows = []
    for number, one in enumerate(QUESTIONS):
        ids = tokenizer(one["question"])["input_ids"]
        start = len(ids)
        for _ in range(4):
            with torch.no_grad():
                ids = [*ids, int(model(torch.tensor([ids])).logits[0, -1].argmax())]
        said = tokenizer.decode(ids[start:], skip_special_tokens=True).split("\n\n")[0]
        rows.append({**one, "said": said if number % 2 else said + "!"})
    found = measured(write_tasks(tmp_path / "t", WRITE, rows=rows), model, tokenizer)["write"]
    assert (found.measure, found.chance) == ("exact_match", 0.0)
    assert found.values == [0.0, 1.0, 0.0, 1.0, 0.0]


def test_bits_a_word_equal_a_plain_reading(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    found = measured(write_tasks(tmp_path / "t", READ), model, tokenizer)["read"]
    nats = [-loglikelihood(model, tokenizer, "", one["question"]) for one in QUESTIONS]
    assert found.loss
    assert found.measure == "word_perplexity"
    assert found.values == pytest.approx([one / 2 for one in nats], rel=1e-4), "two words each"


def test_nothing_is_asked_of_the_machine_and_its_git(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """In a folder that is in no repository, git would complain of each model."""
    monkeypatch.chdir(tmp_path)
    asked = evaluator.get_git_commit_hash
    measured(write_tasks(tmp_path / "t", CHOICE), model, tokenizer)
    assert "fatal" not in capfd.readouterr().err
    assert evaluator.get_git_commit_hash is asked, "as it was, afterwards"


def test_a_limit_takes_the_first_and_twice_is_the_same(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    folder = write_tasks(tmp_path / "t")
    whole, some, again = (measured(folder, model, tokenizer, limit) for limit in (None, 3, 3))
    assert some == again
    assert {name: len(one.values) for name, one in some.items()} == {"next_word": 3, "read": 3, "write": 3}
    assert some["next_word"].examples == whole["next_word"].examples[:3]


def test_the_strength_of_a_run_is_respected(world: tuple[str, str], tmp_path: Path) -> None:
    run = train(recipe_for(world), tmp_path / "run", notify=quiet)
    folder, tokenizer = write_tasks(tmp_path / "t", READ), load_tokenizer(world[0])
    base, off, on = (
        measured(folder, load_any(name, device=CPU, strength=strength), tokenizer)["read"].values
        for name, strength in ((world[0], 1.0), (str(run.path), 0.0), (str(run.path), 1.0))
    )
    assert off == pytest.approx(base, rel=1e-5)
    assert on != pytest.approx(base, rel=1e-3)


# What a name stands for


def test_a_group_that_counts_together_is_one_task(tmp_path: Path) -> None:
    inside = [{**CHOICE, "task": name} for name in ("first", "second")]
    together = {"group": "both", "task": inside, "aggregate_metric_list": [{"metric": "acc"}]}
    folder = write_tasks(tmp_path / "t", *inside)
    known = json.loads((folder / "first.yaml").read_text())
    together["task"] = [{**known, "task": name} for name in ("first", "second")]
    for name, config in (("both", together), ("apart", {**together, "group": "apart"})):
        if name == "apart":
            del config["aggregate_metric_list"]
        (tmp_path / f"{name}.yaml").write_text(json.dumps(config))
    ((both,), (first, second)) = (
        load_harness([str(tmp_path / f"{name}.yaml")], None, tmp_path).tasks for name in ("both", "apart")
    )
    assert (both.name, len(both.parts)) == ("both", 2)
    assert (first.name, second.name) == ("first", "second")


def test_unknown_names_are_told_with_what_was_meant(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refused:
        load_harness(["next_wrod", "builtin:continuatoin", "here/no.yaml", "next_word"], None, tmp_path)
    one, two, three = refused.value.problems
    assert one.startswith("--tasks next_wrod: neither a task of lm-eval, nor")
    assert one.endswith("did you mean next_word?")
    assert two.endswith(f"did you mean {CONTINUATION}?")
    assert three.endswith("lm_eval ls tasks lists those of lm-eval")


def test_what_cannot_be_loaded_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "bad.yaml").write_text('{"task": "bad", "output_type": "nonsense", "dataset_path": "json"}')
    gone = write_tasks(tmp_path / "gone", CHOICE)
    (gone / "questions.jsonl").unlink()
    none = write_tasks(tmp_path / "none", CHOICE, rows=[])
    names = [str(tmp_path / name) for name in ("empty", "bad.yaml", "gone", "none")]
    with pytest.raises(UserError) as refused:
        load_harness(names, None, tmp_path)
    empty, bad, lost, bare = refused.value.problems
    assert "no YAML file in this folder defines a task" in empty
    assert f"--tasks {tmp_path / 'bad.yaml'}: lm-eval cannot load it (" in bad
    (tmp_path / "text.yaml").write_text("- just a list\n")
    with pytest.raises(UserError, match=r"text.yaml: cannot be read as a task \("):
        load_harness([str(tmp_path / "text.yaml")], None, tmp_path)
    assert "its data set could not be had (" in lost
    assert str(none) in bare
    write_tasks(gone, CHOICE)
    with pytest.raises(UserError, match="next_word is named twice, or part of another"):
        load_harness([str(gone), "next_word"], None, tmp_path)


@pytest.mark.parametrize(
    ("mark", "told"),
    [
        ({"unsafe_code": True}, "write runs the program that a model writes, which is not done here; leave it out"),
        ({"doc_to_image": ["said"]}, "write shows pictures or plays sounds, and here models read text alone"),
    ],
)
def test_what_is_not_done_is_told_before_a_model_is_there(mark: dict[str, Any], told: str, tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "t", {**WRITE, **mark})
    with pytest.raises(UserError) as refused:
        load_harness([str(folder), "nothing.yaml"], None, tmp_path)
    first, second = refused.value.problems
    assert first.startswith(f"--tasks {folder}: {told}")
    assert second.startswith("--tasks nothing.yaml: neither a task of lm-eval"), "all at once"


def test_an_answer_longer_than_the_model_is_told(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, tmp_path: Path
) -> None:
    long = {**WRITE, "generation_kwargs": {"max_gen_toks": 400, "until": ["\n\n"]}}
    with pytest.raises(UserError, match=r"--tasks write: does not fit into the 64 positions of the model"):
        measured(write_tasks(tmp_path / "t", long), model, tokenizer)
