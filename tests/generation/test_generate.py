"""Prompts in, rows out: citations of a run's training data forbidden, and what is said of settings that cannot be."""

import json
from pathlib import Path

import pytest
import torch

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.index import CitationIndex
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.generation.continuations import continuation_text, continue_contexts
from hyperfit.generation.generate import generate
from hyperfit.generation.settings import GenerationSettings
from hyperfit.models.loading import load_tokenizer
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import recipe_for, write_texts
from tiny_models import save_tiny

K = 5


@pytest.fixture
def adapted(tmp_path: Path) -> RunDir:
    """A short run with an adapter."""
    model = save_tiny(tmp_path / "model", max_position_embeddings=512)
    data = write_texts(tmp_path / "texts.jsonl", 20, 0)
    recipe = recipe_for((str(model), str(data)), method="late-lora", lr=2e-2, length=48, epochs=6)
    return train(recipe, tmp_path / "run")


def test_generate_blocks_citations_of_a_run(
    adapted: RunDir, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    prompts = ["the horse went", "nobody in the town saw", "and the river"]
    model, tokenizer = load_any(str(adapted.path), device=torch.device("cpu")), load_tokenizer(adapted.recipe.model)
    contexts = [tokenizer(prompt)["input_ids"] for prompt in prompts]
    training = trained_on(adapted, tokenizer)
    blocker = CitationBlocker(training, K, pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id)
    texts = continue_contexts(model, tokenizer, contexts, new_tokens=30, stop_at_end=True, processors=[blocker])
    expected = [
        continuation_text(tokenizer, context, text, skip_special=True)
        for context, text in zip(contexts, texts, strict=True)
    ]
    assert blocker.counts().changed

    flags = ["--prompt", *prompts, "--new-tokens", "30", "--block-citations", "--json"]
    main(["generate", str(adapted.path), *flags])
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["continuation"] for row in rows] == expected
    assert {row["citation_tokens"] for row in rows} == {K}

    monkeypatch.setattr(CitationIndex, "build", None)  # the index has been kept: the texts are not needed again
    main(["generate", str(adapted.path), *flags, "--citation-generated-only", "--citation-whole-words"])
    again = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert all(row["citation_whole_words"] and row["citation_generated_only"] for row in again)
    free = generate(GenerationSettings(model=str(adapted.path), prompt=tuple(prompts), new_tokens=30))
    assert "citation_tokens" not in free[0]
    assert [row["continuation"] for row in free] != expected


def test_generate_says_every_problem_with_blocking(tmp_path: Path) -> None:
    model = str(save_tiny(tmp_path, max_position_embeddings=512))
    settings = GenerationSettings(model=model, prompt=("a",), block_citations=True, new_tokens=9999, device="cuda:99")
    with pytest.raises(UserError) as error:
        generate(settings)
    said = "\n".join(error.value.problems)
    for part in ("--block-citations: ", "the folder of a run", "--new-tokens 9999", "--device cuda:99"):
        assert part in said
