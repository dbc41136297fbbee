"""What the two models of a run do: each writes under every condition, and both predict the human texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel

from hyperfit.console import progress
from hyperfit.evaluation.bulk import bulk_texts, writer_of
from hyperfit.evaluation.by_model import defined
from hyperfit.evaluation.checks import CheckedEvaluation
from hyperfit.evaluation.conditions import HUMAN, Condition
from hyperfit.evaluation.tasks.both import measure_tasks
from hyperfit.evaluation.tasks.harness import Harness
from hyperfit.generation.citations.blocking import BlockCounts
from hyperfit.generation.continuations import SEARCHES, continue_contexts, longest_first
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.metrics.predictions.agreement import predict_both, top1_agreement
from hyperfit.metrics.predictions.calibration import Calibration, calibration
from hyperfit.metrics.predictions.predict import Predictions, Reader, predict, without_adapter
from hyperfit.metrics.predictions.sharpness import Sharpness, sharpness_of
from hyperfit.metrics.predictions.written import head_inputs, predict_written
from hyperfit.models.devices import autocast
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any

Named = dict[str, Any]
"""Measures by name, as JSON holds them."""


@dataclass(frozen=True)
class Observed:
    """What the models wrote, and how they predict."""

    texts: dict[str, list[list[int]]]
    """Continuations by condition, the human ones with them."""
    blocks: dict[str, BlockCounts]
    """By condition whose citations were blocked."""
    models: dict[str, Named]
    """Measures of each model's predictions."""
    by_text: dict[str, dict[str, list[float]]]
    """Model → measure of its predictions of the human texts → a value a text."""
    agreement: Named
    """How alike they predict the human texts."""
    attention: str
    """How attention was computed."""
    largest: dict[str, int]
    """Most texts written at once, by condition: rounding may depend on it. Not of what vLLM wrote."""
    written_by: dict[str, str]
    """The program that wrote each condition's texts, with its version."""
    tasks: Named
    """Task → what both models score on it; empty where none were asked for."""


def observe(
    run: RunDir, checked: CheckedEvaluation, conditions: Sequence[Condition], harness: Harness | None = None
) -> Observed:
    """Let both models do the tasks, if there are any, and write; and read the human texts with both."""
    bulk = bulk_texts(run, checked, conditions)  # first: it takes most of the GPU's memory
    texts, readers = checked.texts, load_both(run, checked)
    machine = checked.tokenizer, checked.device, checked.precision
    tasks = measure_tasks(harness, readers, *machine) if harness else {}  # before texts: a task may prove too long
    own: dict[str, Named] = {model: {} for model in readers}
    with autocast(checked.device, checked.precision):
        written = {
            one.name: reread(readers[one.model], checked, one, bulk[one.name])
            if one.name in bulk
            else write(readers[one.model], checked, one, f"{place} of {len(conditions)}")
            for place, one in enumerate(conditions, start=1)
        }
        with progress("predictions of both models on human text", len(texts.rows)) as advance:
            base, hyperfitted, alike = predict_both(
                readers["base"], readers["hyperfitted"], texts.rows, skip=texts.cuts, advance=advance
            )
    for one in conditions:
        own[one.model][one.way] = to_json(written[one.name].seen.estimates())
    return Observed(
        {**{name: found.texts for name, found in written.items()}, HUMAN: checked.texts.human},
        {name: found.blocks for name, found in written.items() if found.blocks is not None},
        {
            model: {**prediction_measures(seen, base, texts.cuts), "own": own[model]}
            for model, seen in (("base", base), ("hyperfitted", hyperfitted))
        },
        {
            model: sharpness_by_text(sharpness_of(seen.part(skip=texts.cuts)))
            for model, seen in (("base", base), ("hyperfitted", hyperfitted))
        },
        to_json(alike.estimates()),
        readers["base"].model.config._attn_implementation,
        {name: found.largest for name, found in written.items() if found.largest is not None},
        {one.name: writer_of(one, checked.settings.backend) for one in conditions},
        tasks,
    )


def load_both(run: RunDir, checked: CheckedEvaluation) -> dict[str, Reader]:
    """Base and hyperfitted model: an adapter's base is the same weights without it, otherwise two models are held."""
    tuned = load_any(str(run.path), device=checked.device, precision=checked.precision)
    if isinstance(tuned, PeftModel):
        return {"base": without_adapter(tuned), "hyperfitted": Reader(tuned)}
    base = load_any(run.recipe.model, device=checked.device, precision=checked.precision)
    return {"base": Reader(base), "hyperfitted": Reader(tuned)}


@dataclass(frozen=True)
class Written:
    """What a model wrote under one condition."""

    texts: list[list[int]]
    """The continuations."""
    seen: Sharpness
    """How it predicted them."""
    largest: int | None
    """Most written at once; None where vLLM wrote them."""
    blocks: BlockCounts | None
    """How often a blocker acted."""


def write(reader: Reader, checked: CheckedEvaluation, condition: Condition, place: str) -> Written:
    """The condition's continuations of all contexts, and how the model predicted them. place: of it, for people."""
    blocker = checked.blocker(None) if condition.blocked and checked.blocker else None
    settings = checked.settings
    contexts, new_tokens = checked.texts.contexts, checked.texts.new_tokens
    searches = condition.decoding.name in SEARCHES
    batches, states = list[int](), list[torch.Tensor]()
    with (
        reader.within(),
        progress(f"{condition.name} (condition {place}), texts", len(contexts)) as advance,
        head_inputs(reader.model, keep=not searches) as steps,
    ):

        def batch_done(done: int) -> None:
            batches.append(done)
            if not searches:  # those before the last come from a batch that proved too large
                states.append(torch.stack(steps[-new_tokens:], 1).cpu())
            steps.clear()
            advance(done)

        texts = continue_contexts(
            reader.model,
            checked.tokenizer,
            contexts,
            new_tokens=new_tokens,
            decoding=condition.decoding,
            seed=settings.seed,
            batch_size=settings.batch_size,
            processors=[blocker] if blocker else [],
            batch_invariant=settings.batch_invariant,
            advance=batch_done,
        )
    if searches:
        seen = predict_again(reader, checked, condition, texts)
    else:
        (order,) = longest_first(contexts, len(contexts))
        seen = predict_written(reader, states, [texts[place] for place in order])
    return Written(texts, sharpness_of(seen), max(batches), blocker.counts() if blocker else None)


def reread(reader: Reader, checked: CheckedEvaluation, condition: Condition, texts: list[list[int]]) -> Written:
    """Continuations that vLLM wrote, and how the model predicts them."""
    return Written(texts, sharpness_of(predict_again(reader, checked, condition, texts)), None, None)


def predict_again(
    reader: Reader, checked: CheckedEvaluation, condition: Condition, texts: Sequence[Sequence[int]]
) -> Predictions:
    """How a model predicts continuations that it is given to read behind their contexts."""
    whole = [[*context, *text] for context, text in zip(checked.texts.contexts, texts, strict=True)]
    with progress(f"{condition.name}, texts read again", len(whole)) as advance:
        return predict(reader, whole, skip=checked.texts.cuts, advance=advance)


def prediction_measures(seen: Predictions, base: Predictions, cuts: Sequence[int]) -> Named:
    """Measures of a model on the human continuations, and its sharpness on their contexts, which end at ``cuts``.

    ``reliability`` is the table of a reliability diagram: per bin of the likeliest token's probability, from ``edges``,
    mean probability, share of hits (None for an empty bin) and positions.
    """
    human = seen.part(skip=cuts)
    calibrated = calibration(human)
    return {
        **to_json(sharpness_of(human).estimates()),
        "top1_agreement_with_base": estimate(top1_agreement(human, base.part(skip=cuts))).to_dict(),
        "calibration_error": calibrated.error.to_dict(),
        "reliability": reliability(calibrated),
        "contexts": to_json(sharpness_of(seen.part(until=cuts)).estimates()),
    }


def sharpness_by_text(seen: Sharpness) -> dict[str, list[float]]:
    """Measure → a value a text; loss, whose mean makes the perplexity, in nats per token."""
    tops = {f"top{k}_mass": mass.tolist() for k, mass in seen.top.items()}
    return {"loss": seen.loss.tolist(), "entropy": seen.entropy.tolist(), **tops}


def reliability(calibrated: Calibration) -> dict[str, list[float | int | None]]:
    """Columns of the reliability table."""
    columns = {name: getattr(calibrated, name) for name in ("edges", "confidence", "accuracy", "count")}
    return {name: [defined(value) for value in column.tolist()] for name, column in columns.items()}


def to_json(estimates: Mapping[str, Estimate]) -> Named:
    """Plain values of estimates."""
    return {name: one.to_dict() for name, one in estimates.items()}
