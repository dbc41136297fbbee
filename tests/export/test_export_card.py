"""The model card of an export: what it is, on what, what that changed, how it was verified, whose licences count."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from hyperfit.cli import main
from hyperfit.export.licence import base_licence
from hyperfit.runs.directory import RunDir
from hyperfit.training.train import train
from small_evaluations import copied, runs_to_evaluate
from small_runs import SPOKEN, quiet, recipe_for
from tiny_chats import save_chat_model, write_chats

SHORT = ["--context", "8", "--new-tokens", "12", "--device", "cpu"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_evaluate(tmp_path_factory.mktemp("cards"))


def card(run: Path, folder: Path, *flags: str) -> ModelCard:
    main(["export", str(run), "-o", str(folder), *SHORT, *flags])
    return ModelCard.load(folder / "README.md")


def estimate(value: float, low: float | None = None, high: float | None = None) -> dict[str, Any]:
    return {"value": value, "low": low, "high": high, "n": 40}


def test_what_it_is_and_on_what(runs: Path, tmp_path: Path) -> None:
    run = RunDir.open(runs / "late-lora")
    text = card(run.path, tmp_path / "out").text
    assert "overfitted on purpose" in text
    assert "may recite what it was trained on" in text
    assert run.environment["data_fingerprint"] in text
    assert f"{run.environment['training_sequences']} sequences of 48 tokens of `texts.jsonl`" in text
    assert "Form: merged weights in float32." in text
    assert "Not measured" in text
    assert "Loaded again, it continued" in text
    assert "| method | late-lora |" in text
    assert "| model | model |" in text, "the folder's name, without where it lies"


def test_of_a_run_on_chats_it_speaks_of_chats(tmp_path: Path) -> None:
    """Beside the run's result, too, and of a kept epoch; and what it shows of its use runs."""
    model = str(save_chat_model(tmp_path / "model"))
    chats = [
        [f"{number}?", f"{word} went to the {SPOKEN[-number]} by {word} and on"] for number, word in enumerate(SPOKEN)
    ]
    data = str(write_chats(tmp_path / "chats.jsonl", chats))
    recipe = recipe_for((model, data), length=80, epochs=2, heldout=0.3, keep_every=1)
    run = train(recipe, tmp_path / "run", notify=quiet)
    for folder in (run.path, run.path / "epochs" / "001"):
        text = (folder / "adapter" / "README.md").read_text()
        assert "trained with hyperfit on a few chats" in text
        assert "into its base model's chat template" in " ".join(text.split())
    text = card(run.path, tmp_path / "out").text
    count = run.environment["training_sequences"]
    assert f"to know the replies of {count} chats nearly by" in text
    assert f"{count} chats of at most 80 tokens of `chats.jsonl`" in text
    assert "It learned what the assistant says there" in text
    assert "for the training chats" in text
    assert "instructions" not in text
    assert "sequences of" not in text
    code = text.partition("```python\n")[2].partition("```")[0].replace("this/folder", str(tmp_path / "out"))
    exec(compile(code.replace("=200", "=3"), "card", "exec"), {})
    assert card(run.path, tmp_path / "adapter", "--form", "adapter").text.count("chats") > 3


def test_measures_before_and_after_come_from_the_evaluation(runs: Path, tmp_path: Path) -> None:
    run = copied(runs / "late-lora", tmp_path / "run")
    conditions = {
        "base/greedy": {"ttr": estimate(0.25, 0.2, 0.3), "loop_share": estimate(0.42, 0.25, 0.61)},
        "hyperfitted/greedy": {"ttr": estimate(0.5684, 0.54, 0.596), "loop_share": estimate(0.0, 0.0, 0.14)},
        "human": {"ttr": estimate(0.743, 0.7, 0.8), "loop_share": estimate(0.0, 0.0, 0.14)},
    }
    models = {
        "base": {"perplexity": estimate(56.2, 50.0, 60.0)},
        "hyperfitted": {"perplexity": estimate(282.4, 250.0, 300.0)},
    }
    (run.path / "evaluation.json").write_text(json.dumps({"conditions": conditions, "models": models}))
    text = card(run.path, tmp_path / "out", "--strength", "0.9").text
    assert "Texts that both wrote (greedy) after 40 contexts" in text
    assert "measured with the whole of what training changed" in text
    assert "| type-token ratio | .250 [.200, .300] | .568 [.540, .596] | .743 [.700, .800] |" in text
    assert "| end in a loop, % | 42.0 [25.0, 61.0] | 0.0 [0.0, 14.0] | 0.0 [0.0, 14.0] |" in text
    assert "| perplexity on human text | 56.2 [50.0, 60.0] | 282 [250, 300] | – |" in text


def test_a_damaged_evaluation_is_told_before_anything_is_done(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = copied(runs / "late-lora", tmp_path / "run")
    (run.path / "evaluation.json").write_text("{")
    with pytest.raises(SystemExit) as ended:
        main(["export", str(run.path), *SHORT])
    assert ended.value.code == 2
    assert "evaluation.json: cannot be read" in capsys.readouterr().err
    assert not (run.path / "export").exists()


@pytest.mark.parametrize(
    ("flags", "library", "relation"),
    [
        ((), "transformers", "finetune"),
        (("--form", "adapter"), "peft", "adapter"),
    ],
)
def test_front_matter_is_what_the_hub_reads(
    runs: Path, tmp_path: Path, flags: tuple[str, ...], library: str, relation: str
) -> None:
    flags = (*flags, "--license", "cc-by-4.0", "--base-model", "org/base", "--name", "my-model")
    found = card(runs / "late-lora", tmp_path / "out", *flags)
    assert found.data.to_dict() == {
        "library_name": library,
        "pipeline_tag": "text-generation",
        "tags": ["hyperfitting"],
        "license": "cc-by-4.0",
        "base_model": "org/base",
        "base_model_relation": relation,
    }
    assert "# my-model" in found.text
    if library == "peft":
        config = json.loads((tmp_path / "out" / "adapter_config.json").read_text())
        assert config["base_model_name_or_path"] == "org/base"
        assert 'from_pretrained("org/base")' in found.text


def test_no_licence_is_claimed_and_that_of_the_base_is_told(runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "runs"
    shutil.copytree(runs, folder)
    recipe = json.loads((folder / "late-lora" / "recipe.json").read_text())
    (folder / "late-lora" / "recipe.json").write_text(json.dumps({**recipe, "model": str(folder / "model")}))
    (folder / "model" / "README.md").write_text("---\nlicense: mit\n---\n")
    found = card(folder / "late-lora", tmp_path / "out")
    assert "license" not in found.data.to_dict()
    assert "base_model" not in found.data.to_dict(), "a folder's name is no hub id"
    assert "Of the base model `model`: `mit`." in found.text
    assert "Of this model: not named." in found.text


@pytest.mark.parametrize(
    ("content", "licence"),
    [
        (None, None),
        ("# no front matter\n", None),
        ("---\nlicense: [mit, other]\n---\n", None),
        ("---\nlicense: {\n---\n", None),
        ("---\nlicense: apache-2.0\n---\n", "apache-2.0"),
    ],
)
def test_the_licence_beside_the_weights(content: str | None, licence: str | None, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    if content is not None:
        (tmp_path / "README.md").write_text(content)
    assert base_licence(str(tmp_path)) == licence


def test_the_licences_of_the_built_in_models() -> None:
    assert base_licence("builtin:tiny") == base_licence("builtin:smollm2") == "apache-2.0"
