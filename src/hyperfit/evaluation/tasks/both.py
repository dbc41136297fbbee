"""Base and hyperfitted model on the same examples of tasks: what each scores, and the paired difference."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import within
from hyperfit.errors import UserError
from hyperfit.evaluation.by_model import defined
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.evaluation.tasks.harness import Harness, missing
from hyperfit.evaluation.tasks.named import load_harness
from hyperfit.evaluation.tasks.scores import Scores, guessed, hits
from hyperfit.metrics.estimate import (
    Estimate,
    estimate,
    paired_difference,
    paired_share_difference,
    share_estimate,
)
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.recipes.recipe import Precision

Parts = Mapping[str, Scores]
"""What a model scores on a task, or on each task of a group."""


def check_tasks(settings: EvaluationSettings, folder: Path) -> Harness | None:
    """The tasks that the settings name, with their examples; None where they name none.

    folder: for the task that comes with hyperfit, as long as models are measured. Raises UserError where lm-eval is not
    installed, and with every task that cannot be had.
    """
    if not settings.tasks:
        return None
    if lack := missing():
        raise UserError(f"--tasks: {lack}")
    return load_harness(settings.tasks, settings.task_limit, folder)


def measure_tasks(
    harness: Harness,
    readers: Mapping[str, Reader],
    tokenizer: PreTrainedTokenizerBase,
    device: torch.device,
    precision: Precision,
) -> dict[str, Any]:
    """Task → what ``compared`` says of it. readers: base and hyperfitted.

    Raises UserError for a task that the models cannot do.
    """
    found: dict[str, dict[str, Parts]] = {}
    for model, reader in readers.items():
        with within(model), reader.within():
            for task in harness.tasks:
                scores = harness.measure(task, reader.model, tokenizer, device, precision)
                found.setdefault(task.name, {})[model] = scores
    return {
        name: told for task, models in found.items() for name, told in rows(task, models["base"], models["hyperfitted"])
    }


def rows(task: str, base: Parts, hyperfitted: Parts) -> list[tuple[str, dict[str, Any]]]:
    """(name, ``compared``) of a task; of a group, under ``parts``, of each of its tasks too.

    Losses of several tasks, which may be of other units, have no mean: each is a task by itself.
    """
    parts = {name: compared([one], [hyperfitted[name]]) for name, one in base.items()}
    if any(one.loss for one in base.values()):
        return list(parts.items())
    whole = compared(list(base.values()), list(hyperfitted.values()))
    return [(task, {**whole, "parts": parts} if len(parts) > 1 else whole)]


def compared(base: Sequence[Scores], hyperfitted: Sequence[Scores]) -> dict[str, Any]:
    """What both models score on the examples of one or more tasks, as evaluation.json holds it.

    ``base``, ``hyperfitted`` and ``difference``, hyperfitted minus base example by example, each with value, low, high
    and n, the number of examples. Scores are 0 to 1, more is better; where ``loss``, values are losses, 0 or more.
    ``measure``: what the task calls them. ``chance``: what guessing gives; None of a loss.
    """
    before, after = ([value for one in side for value in one.values] for side in (base, hyperfitted))
    return {
        "measure": ", ".join(sorted({one.measure for one in base})),
        "loss": base[0].loss,
        "chance": defined(guessed(base)),
        "base": mean(before).to_dict(),
        "hyperfitted": mean(after).to_dict(),
        "difference": difference(after, before).to_dict(),
    }


def mean(values: Sequence[float]) -> Estimate:
    """Over examples; of hits with Wilson's interval."""
    return share_estimate(values) if hits(values) else estimate(values)


def difference(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """First minus second, example by example; of hits with Agresti and Min's interval."""
    return (paired_share_difference if hits(first) and hits(second) else paired_difference)(first, second)
