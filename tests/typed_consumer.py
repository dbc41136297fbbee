"""A program that uses hyperfit, as mypy --strict sees somebody else's: make check reads it, and a test
of the wheel; nothing runs it.

What the public names give is of the types that they say, and nothing is untyped.
"""

from pathlib import Path
from typing import Any, assert_type

import torch
from peft import PeftModel
from transformers import PreTrainedModel

import hyperfit


def hyperfitted(model: str, texts: Path, folder: Path) -> hyperfit.RunDir:
    """The main job."""
    recipe = hyperfit.Recipe(model=model, data=str(texts), method="late-lora", samples=24, stop_loss=0.25)
    assert_type(hyperfit.smollm2(model, str(texts)), hyperfit.Recipe)
    try:
        run = hyperfit.train(recipe, folder, resume=True, notify=print)
    except hyperfit.UserError as error:
        assert_type(error.problems, tuple[str, ...])
        raise
    assert_type(run, hyperfit.RunDir)
    assert_type(run.recipe, hyperfit.Recipe)
    return run


def measured(run: hyperfit.RunDir) -> float:
    """The type-token ratio of its greedy texts."""
    settings = hyperfit.EvaluationSettings(contexts=("builtin:news",), total=128, decodings=("greedy",))
    results = hyperfit.evaluate(run, settings)
    assert_type(results, dict[str, Any])
    assert_type(hyperfit.write_report(run), Path)
    return float(results["conditions"]["hyperfitted/greedy"]["ttr"]["value"])


def asked(name: str, question: str) -> str:
    """An answer in a chat."""
    settings = hyperfit.GenerationSettings(model=name, prompt=(question,), chat=True, strength=0.75)
    (row,) = hyperfit.generate(settings)
    return str(row["continuation"])


def loaded(name: str) -> PreTrainedModel | PeftModel:
    """A run's model."""
    model = hyperfit.load_any(name, device="auto")
    assert_type(model, PreTrainedModel | PeftModel)
    return model


def cached(model: PreTrainedModel, sequences: torch.Tensor, folder: Path) -> None:
    """A loop of one's own above a cached prefix."""
    hyperfit.late_stage_lora_config(model, blocks=5)
    with hyperfit.cache_prefix(model, sequences, folder, batch_size=2):
        pass


def studied(model: str, folder: Path) -> dict[str, Any]:
    """A study of the papers."""
    return hyperfit.run_studies(["main"], hyperfit.StudySettings(model=model, seeds=1), folder, budget=600.0)
