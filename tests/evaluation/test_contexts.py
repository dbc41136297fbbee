"""Contexts of human texts in tokens of single bytes: none ends inside a character, and no character is lost."""

import json
from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.evaluation.checks import check_evaluation
from hyperfit.evaluation.conditions import conditions_of
from hyperfit.evaluation.contexts import human_texts
from hyperfit.evaluation.observe import observe
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.continuations import continue_contexts
from hyperfit.metrics.predictions.sharpness import sharpness
from hyperfit.models.loading import load_tokenizer
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import quiet, recipe_for
from tiny_models import save_tiny

CONTEXT, TOTAL = 16, 40
LETTERS = "川石本馬😀冬é"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A short run on texts of characters of one to four bytes."""
    folder = tmp_path_factory.mktemp("characters")
    texts = ["".join(LETTERS[(row * 3 + place * (row + 1)) % 7] for place in range(40)) for row in range(20)]
    data = folder / "texts.jsonl"
    data.write_text("".join(json.dumps({"text": f"{row}{text}"}) + "\n" for row, text in enumerate(texts)))
    model = save_tiny(folder / "model", max_position_embeddings=512)
    return train(recipe_for((str(model), str(data)), length=24, epochs=1, heldout=0.4), folder / "run", notify=quiet)


def settings(**changes: object) -> EvaluationSettings:
    given = {"context": CONTEXT, "total": TOTAL, "decodings": ("greedy",), "device": "cpu"}
    return EvaluationSettings(**{**given, **changes})  # type: ignore[arg-type]


def test_a_context_ends_with_a_whole_character(run: RunDir) -> None:
    tokenizer = load_tokenizer(run.recipe.model)
    texts = human_texts(run.recipe, settings(), tokenizer)
    for row, cut, human in zip(texts.rows, texts.cuts, texts.human, strict=True):
        ends = [end for end in range(1, CONTEXT + 1) if "\ufffd" not in tokenizer.decode(row[:end])]
        assert cut == ends[-1]
        assert human == row[cut : cut + TOTAL - CONTEXT]
    assert len(set(texts.cuts)) > 1


def test_samples_equal_the_file(run: RunDir, tmp_path: Path) -> None:
    main(["evaluate", str(run.path), "--context", str(CONTEXT), "--total", str(TOTAL), "--decodings", "greedy",
          "-o", str(tmp_path), "--json"])  # fmt: skip
    rows = [json.loads(line)["text"] for line in Path(run.recipe.data).read_text().splitlines()]
    for line in (tmp_path / "samples" / "human.jsonl").read_text(encoding="utf-8").splitlines():
        sample = json.loads(line)
        assert any(row.startswith(sample["context"] + sample["continuation"]) for row in rows)
        size = len((sample["context"] + sample["continuation"]).encode())
        assert TOTAL - 6 <= size <= TOTAL  # at either cut at most three bytes are left out


def test_predictions_of_what_was_written_are_those_of_its_own_texts(run: RunDir) -> None:
    """Contexts of unequal lengths are continued longest first; each text keeps its own numbers."""
    place = check_evaluation(run, settings(blocked=()), run.path)
    found = observe(run, place, conditions_of(place.settings))
    model = load_any(run.recipe.model, device=place.device)
    alone = [
        continue_contexts(model, place.tokenizer, [context], new_tokens=TOTAL - CONTEXT)[0]
        for context in place.texts.contexts
    ]
    assert found.texts["base/greedy"] == alone
    whole = [[*context, *text] for context, text in zip(place.texts.contexts, alone, strict=True)]
    reread = sharpness(model, whole, skip=place.texts.cuts).estimates()
    own = found.models["base"]["own"]["greedy"]
    assert {name: measure["value"] for name, measure in own.items()} == pytest.approx(
        {name: measure.value for name, measure in reread.items()}, rel=1e-4
    )
