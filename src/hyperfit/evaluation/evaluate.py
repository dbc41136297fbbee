"""Base and hyperfitted model on the same contexts: continue, measure, compare, beside the human text."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel

from hyperfit.console import progress, say
from hyperfit.evaluation.by_model import coherences, defined, likeness
from hyperfit.evaluation.checks import CheckedEvaluation, check_evaluation
from hyperfit.evaluation.conditions import HUMAN, Condition, conditions_of, save_samples
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.blocking import BlockCounts
from hyperfit.generation.continuations import ONE_AT_A_TIME, SEARCHES, continue_contexts
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference, paired_share_difference
from hyperfit.metrics.predictions.agreement import predict_both, top1_agreement
from hyperfit.metrics.predictions.calibration import Calibration, calibration
from hyperfit.metrics.predictions.predict import Predictions, Reader, predict, without_adapter
from hyperfit.metrics.predictions.sharpness import Sharpness, sharpness_of
from hyperfit.metrics.predictions.written import head_inputs, predict_written
from hyperfit.metrics.score import ALL_SHARES, copies, score
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.words import NO_LEXICON, lexicon_of
from hyperfit.models.devices import autocast
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import write_json
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
    agreement: Named
    """How alike they predict the human texts."""
    attention: str
    """How attention was computed."""
    largest: dict[str, int]
    """Most texts written at once, by condition: rounding may depend on it."""


def evaluate(run: RunDir, settings: EvaluationSettings) -> dict[str, Any]:
    """Continue the same contexts with both models, measure, and write samples/ and evaluation.json.

    Returns what evaluation.json holds; each measure with value, low, high, n:

    conditions: measures of texts by model/decoding, of those with citations blocked (model/decoding+blocked; with
        the shares of steps at which a token was forbidden, and the likeliest one was), and of the human continuations.
    models: how each model predicts the human continuations, with its calibration; under ``contexts``
        how it predicts the contexts, and under ``own`` what it has written itself.
    agreement: base and hyperfitted model compared on the human continuations.
    comparisons: hyperfitted minus base, and blocked minus not blocked, paired over contexts.

    Raises UserError with every problem before anything is computed.
    """
    checked = check_evaluation(run, settings)
    conditions = conditions_of(settings)
    if settings.batch_invariant:
        say(ONE_AT_A_TIME)
    if len(checked.texts.ids) < settings.most_contexts:
        say(f"{len(checked.texts.ids)} contexts: no more of {settings.total} tokens are there")
    if settings.total - settings.context < TTR_WINDOW:
        say(f"continuations of {settings.total - settings.context} tokens have no TTR, which takes {TTR_WINDOW}")

    def decode(ids: Sequence[int]) -> str:
        return str(checked.tokenizer.decode(list(ids), skip_special_tokens=True))

    observed = observe(run, checked, settings, conditions)
    strings = {name: checked.texts.strings(checked.tokenizer, rows) for name, rows in observed.texts.items()}
    index = TrainingIndex(checked.training)
    contexts = checked.texts.context_strings(checked.tokenizer)
    lexicon = lexicon_of(map(decode, checked.training), contexts)
    if lexicon is None:
        say(NO_LEXICON)
    scores = score(observed.texts, checked.training, strings, index, dict.fromkeys(strings, contexts), lexicon)
    values = {name: dict(found.per_text) for name, found in scores.items()}
    found = {name: found.summary() for name, found in scores.items()}
    for name, counts in observed.blocks.items():
        found[name] |= block_shares(counts)
    if settings.mauve is not None:
        for one in conditions:
            found[one.name]["mauve"] = likeness(
                one.name, strings[HUMAN], strings[one.name], featuriser=settings.mauve, device=checked.device
            )
    if settings.coherence is not None:
        contexts = checked.texts.context_strings(checked.tokenizer)
        judged = coherences(
            {name: list(zip(contexts, rows, strict=True)) for name, rows in strings.items()},
            scorer=settings.coherence,
            device=checked.device,
            precision=checked.precision,
        )
        for name, by_text in judged.items():
            values[name]["coherence"] = by_text
            found[name]["coherence"] = estimate(by_text).to_dict()
    resolved = {
        "blocked": [str(decoding) for decoding in settings.decodings_blocked],
        "device": str(checked.device),
        "precision": checked.precision,
        "attention": observed.attention,
        "largest_batches": observed.largest,
        "lexicon": lexicon and lexicon.language,
    }
    results = {
        "settings": {**dataclasses.asdict(settings), **resolved},
        "conditions": found,
        "models": observed.models,
        "agreement": observed.agreement,
        "comparisons": comparisons(values, conditions),
        "copies": copies(observed.texts, index, checked.training, decode),
    }
    save_samples(run, checked, strings, conditions, settings)
    write_json(run.path / "evaluation.json", results)
    return results


# The models


def observe(
    run: RunDir, checked: CheckedEvaluation, settings: EvaluationSettings, conditions: Sequence[Condition]
) -> Observed:
    """Let both models write, and read the human texts with both."""
    ids, readers = checked.texts.ids, load_both(run, checked)
    own: dict[str, Named] = {model: {} for model in readers}
    with autocast(checked.device, checked.precision):
        written = {one.name: write(readers[one.model], checked, settings, one) for one in conditions}
        with progress("predictions of both models on human text", len(ids)) as advance:
            base, hyperfitted, alike = predict_both(
                readers["base"], readers["hyperfitted"], ids, skip=settings.context, advance=advance
            )
    for one in conditions:
        own[one.model][one.way] = to_json(written[one.name].seen.estimates())
    return Observed(
        {**{name: found.texts for name, found in written.items()}, HUMAN: checked.texts.human},
        {name: found.blocks for name, found in written.items() if found.blocks is not None},
        {
            model: {**prediction_measures(seen, base, settings.context), "own": own[model]}
            for model, seen in (("base", base), ("hyperfitted", hyperfitted))
        },
        to_json(alike.estimates()),
        readers["base"].model.config._attn_implementation,
        {name: found.largest for name, found in written.items()},
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
    largest: int
    """Most written at once."""
    blocks: BlockCounts | None
    """How often a blocker acted."""


def write(reader: Reader, checked: CheckedEvaluation, settings: EvaluationSettings, condition: Condition) -> Written:
    """The condition's continuations of all contexts, and how the model predicted them."""
    blocker = checked.blocker() if condition.blocked and checked.blocker else None
    contexts, new_tokens = checked.texts.contexts, settings.total - settings.context
    reread = condition.decoding.name in SEARCHES
    batches, states = list[int](), list[torch.Tensor]()
    with (
        reader.within(),
        progress(f"{condition.model}: {condition.way} continuations", len(contexts)) as advance,
        head_inputs(reader.model, keep=not reread) as steps,
    ):

        def batch_done(done: int) -> None:
            batches.append(done)
            if not reread:  # those before the last come from a batch that proved too large
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
    if reread:
        whole = [[*context, *text] for context, text in zip(contexts, texts, strict=True)]
        seen = predict(reader, whole, skip=settings.context)
    else:  # contexts are of one length, and so are continued in their order
        seen = predict_written(reader, states, texts)
    return Written(texts, sharpness_of(seen), max(batches), blocker.counts() if blocker else None)


def prediction_measures(seen: Predictions, base: Predictions, context: int) -> Named:
    """Measures of a model on the human continuations, and its sharpness on their contexts.

    ``reliability`` is the table of a reliability diagram: per bin of the likeliest token's probability, from ``edges``,
    mean probability, share of hits (None for an empty bin) and positions.
    """
    human = seen.part(skip=context)
    calibrated = calibration(human)
    return {
        **to_json(sharpness_of(human).estimates()),
        "top1_agreement_with_base": estimate(top1_agreement(human, base.part(skip=context))).to_dict(),
        "calibration_error": calibrated.error.to_dict(),
        "reliability": reliability(calibrated),
        "contexts": to_json(sharpness_of(seen.part(until=context)).estimates()),
    }


def reliability(calibrated: Calibration) -> dict[str, list[float | int | None]]:
    """Columns of the reliability table."""
    columns = {name: getattr(calibrated, name) for name in ("edges", "confidence", "accuracy", "count")}
    return {name: [defined(value) for value in column.tolist()] for name, column in columns.items()}


# The texts


def block_shares(counts: BlockCounts) -> Named:
    """Shares of the decoding steps at which a token was forbidden, and at which the likeliest one was; n counts steps.

    Without an interval: steps of one text hang together.
    """

    def share(some: int) -> dict[str, float | int | None]:
        value = some / counts.steps if counts.steps else math.nan
        return Estimate(value, math.nan, math.nan, counts.steps).to_dict()

    return {"blocked_steps": share(counts.blocked), "changed_choices": share(counts.changed)}


def comparisons(values: Mapping[str, Mapping[str, list[float]]], conditions: Sequence[Condition]) -> dict[str, Any]:
    """Hyperfitted minus base, and blocked minus not blocked, for every measure of texts, paired over the contexts."""
    pairs = [
        (one, dataclasses.replace(one, blocked=False) if one.blocked else dataclasses.replace(one, model="base"))
        for one in conditions
        if one.model == "hyperfitted"
    ]
    return {
        f"{one.name} - {other.name}": {
            measure: (paired_share_difference if measure in ALL_SHARES else paired_difference)(
                values[one.name][measure], values[other.name][measure]
            ).to_dict()
            for measure in values[one.name]
        }
        for one, other in pairs
    }


def to_json(estimates: Mapping[str, Estimate]) -> Named:
    """Plain values of estimates."""
    return {name: one.to_dict() for name, one in estimates.items()}
