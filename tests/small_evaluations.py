"""Two short runs and the settings of a small evaluation of them, for the tests of evaluating."""

import shutil
from pathlib import Path
from typing import Any

from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.runs.directory import RunDir
from hyperfit.training.train import train
from small_runs import recipe_for, write_texts
from tiny_models import save_tiny

CONTEXT, TOTAL = 16, 56
TEXTS = 6


def runs_to_evaluate(folder: Path) -> Path:
    """A model, texts, other texts to continue, and two short runs: an adapter, and a model trained whole."""
    model = save_tiny(folder / "model", max_position_embeddings=512)
    data = write_texts(folder / "texts.jsonl", 20, 0)
    write_texts(folder / "others.jsonl", 24, 100)
    for method, rate in (("late-lora", 2e-2), ("full", 2e-3)):
        recipe = recipe_for((str(model), str(data)), method=method, lr=rate, length=48, epochs=6)
        train(recipe, folder / method)
    return folder


def copied(run: Path, to: Path) -> RunDir:
    """A copy of a run without what evaluations have left there, to do with as one likes."""
    shutil.copytree(run, to, ignore=shutil.ignore_patterns("citations-*", "evaluation.json"))
    return RunDir.open(to)


def settings_for(run: RunDir, **changes: Any) -> EvaluationSettings:
    given = {
        "contexts": (str(run.path.parent / "others.jsonl"),),
        "most_contexts": TEXTS,
        "context": CONTEXT,
        "total": TOTAL,
        "decodings": ("greedy",),
        "device": "cpu",
    }
    return EvaluationSettings(**{**given, **changes})
