"""A run in sentences: what was trained on what, how training ended, how the texts changed."""

import math
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.numbers import COUNT, PERCENT, RATIO, style_of
from hyperfit.recipes.recipe import Recipe
from hyperfit.report.pages.templates import isolated
from hyperfit.report.tables.evaluations.summary import compared, decoding_of, found
from hyperfit.training.lines import copying_line


def model_name(recipe: Recipe) -> str:
    """The base model, without the folders above it."""
    return Path(recipe.model).name if recipe.model.startswith(("/", ".", "~")) else recipe.model


def data_name(recipe: Recipe) -> str:
    """The data, without the folders above it."""
    return Path(recipe.data).name if recipe.data.startswith(("/", ".", "~")) else recipe.data


def facts(recipe: Recipe, environment: dict[str, Any]) -> dict[str, Markup]:
    """Model, data and method in a few words each."""
    depth, learned = environment["blocks"], environment["trainable_parameters"]
    return {
        "Model": Markup("{}, {} parameters in {} blocks").format(
            isolated(recipe.model), COUNT.told(environment["parameters"]), depth
        ),
        "Data": Markup("{}, {} sequences of {} tokens").format(
            isolated(recipe.data), COUNT(environment["training_sequences"]), recipe.length
        ),
        "Method": Markup("{}: {} parameters learn; Adam, lr {:g}, {} sequences an update").format(
            method(recipe, environment),
            COUNT.told(learned),
            recipe.learning_rate,
            recipe.batch_size * recipe.accumulate,
        ),
    }


def in_a_line(recipe: Recipe, environment: dict[str, Any]) -> Markup:
    """The same, shorter, in one line."""
    return Markup("{} · {} sequences of {} tokens from {}").format(
        method(recipe, environment),
        COUNT(environment["training_sequences"]),
        recipe.length,
        isolated(data_name(recipe)),
    )


def method(recipe: Recipe, environment: dict[str, Any]) -> str:
    """What learns."""
    depth, blocks = environment["blocks"], environment["adapted_blocks"]
    return {
        "late-lora": f"Late-Stage LoRA of rank {recipe.rank} in the last {len(blocks)} of {depth} blocks",
        "late-full": f"all parameters of the last {len(blocks)} of {depth} blocks and of the final norm",
        "lora": f"LoRA of rank {recipe.rank} in all {depth} blocks",
        "full": "all parameters",
    }[recipe.method]


def training_verdict(recipe: Recipe, end: dict[str, Any] | None, epochs: list[dict[str, Any]]) -> str:
    """Whether training came to its goal, in a sentence."""
    losses = [event["train_loss"] for event in epochs if event.get("train_loss") is not None]
    loss = f"{style_of('train_loss').told(losses[-1])} nats per token" if losses else "not yet known"
    done = f"{len(losses)} {'epoch' if len(losses) == 1 else 'epochs'}"
    reason = end["reason"] if end else None
    if reason == "loss":
        return f"Training reached its goal: the loss is {loss} after {done} (goal {recipe.stop_loss:g})."
    if reason == "epochs" and recipe.stop_loss is not None:
        return (
            f"Training did not reach its goal: the loss is {loss} after all {done} (goal "
            f"{recipe.stop_loss:g}); this is a model on the way there."
        )
    if reason == "epochs":
        return f"The training loss is {loss} after all {done}; no goal was set."
    if reason == "copying":
        return (
            f"Training was ended where the greedy texts of the probes began to recite training data (more than "
            f"{PERCENT.told(recipe.stop_copying or 0)} of them): the loss is {loss} after {done}."
        )
    if reason == "auto":
        return f"Training was ended by what its probes showed (--stop auto): the loss is {loss} after {done}."
    if reason == "nan":
        return f"Training failed after {done}: the loss became infinite or not a number; a smaller lr is the remedy."
    state = "was interrupted" if reason == "interrupted" else "has not ended"
    return f"Training {state}: the training loss is {loss} after {done}."


def probes_verdict(epochs: list[dict[str, Any]], what: str = "text") -> list[str]:
    """What the probes of training say of what is written greedily, in sentences: how it changed,
    and whether it is English and new. None of fewer than two probes.
    """
    probes = [event for event in epochs if event.get("ttr") is not None]
    if len(probes) < 2:
        return []
    first, last = probes[0], probes[-1]
    told = [
        f"In the probes, the type–token ratio of greedy {what} went from {RATIO.told(first['ttr'])} to "
        f"{RATIO.told(last['ttr'])}."
    ]
    if last.get("word_share") is not None:
        told.append(f"Of its words {PERCENT.told(last['word_share'])} are words.")
    if copied := copying_line(last):
        told.append(f"{copied[0].upper()}{copied[1:]}.")
    return told


def writing_verdict(evaluation: dict[str, Any]) -> str:
    """How varied the texts are before and after, with intervals, in a sentence; "" if both models wrote by none."""
    decoding = decoding_of(evaluation)
    if decoding is None:
        return ""
    base, hyperfitted, human = (found(measures, "ttr") for measures in compared(evaluation).values())
    if math.isnan(base.value) or math.isnan(hyperfitted.value):
        return f"The type–token ratio is undefined: no {decoding} texts of at least {TTR_WINDOW} tokens were evaluated."
    name = f"hyperfitted/{decoding} - base/{decoding}"
    change = found(evaluation.get("comparisons", {}).get(name, {}), "ttr")
    return (
        f"Under {decoding} decoding, the type–token ratio is {RATIO.within(base)} for the base model and "
        f"{RATIO.within(hyperfitted)} for the hyperfitted one, a paired difference of "
        f"{RATIO.within(change, '+')} over {change.n} contexts; human text has {RATIO.within(human)}."
        + (" The interval of the difference holds zero, so no change is shown." if holds_zero(change) else "")
    )


def holds_zero(change: Estimate) -> bool:
    """Whether a difference may be none."""
    return change.low <= 0 <= change.high
