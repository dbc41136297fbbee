"""Base and hyperfitted model on the same contexts: continue, measure, compare, beside the human text."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hyperfit.console import say
from hyperfit.data.characters import excerpt
from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.by_model import coherences, likeness
from hyperfit.evaluation.checks import CheckedEvaluation, check_evaluation
from hyperfit.evaluation.conditions import HUMAN, Condition, conditions_of, save_samples
from hyperfit.evaluation.observe import Named, Observed, observe, to_json
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.evaluation.tasks.both import check_tasks
from hyperfit.evaluation.tasks.harness import Harness
from hyperfit.evaluation.values import context_keys, save_values
from hyperfit.generation.continuations import ONE_AT_A_TIME
from hyperfit.metrics.copying.blocks import block_shares
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import estimate, paired_differences
from hyperfit.metrics.score import ALL_SHARES, copies, score
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.metrics.text.words import NO_LEXICON, Lexicon, lexicon_of
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import write_json

OF_TASKS = ("tasks", "task_limit")
"""Settings that say nothing where there are no tasks."""


def evaluate(run: RunDir, settings: EvaluationSettings, output: Path | None = None) -> dict[str, Any]:
    """Continue the same contexts with both models, measure, and write samples/ and evaluation.json to ``output``.

    output: a folder. None: the run's. Returns what evaluation.json holds; each measure with value, low, high, n:

    conditions: measures of texts by model/decoding, of those with citations blocked (model/decoding+blocked; with
        the shares of steps at which a token was forbidden, and the likeliest one was), and of the human continuations.
    models: how each model predicts the human continuations, with its calibration; under ``contexts``
        how it predicts the contexts, and under ``own`` what it has written itself.
    agreement: base and hyperfitted model compared on the human continuations.
    comparisons: hyperfitted minus base, and blocked minus not blocked, paired over contexts.
    tasks: where the settings name some, what both models score on each, and the difference, paired over examples.

    Beside it lies evaluation_values.json, the values of every text, by which evaluations of two runs can be paired.

    Raises UserError with every problem before anything is computed.
    """
    folder = output or run.path
    with TemporaryDirectory(prefix="hyperfit-tasks-") as own:
        checked, harness = check_all(run, settings, folder, Path(own))
        conditions = conditions_of(checked.settings)
        say_first(checked)
        observed = observe(run, checked, conditions, harness)
    strings = {name: checked.texts.strings(checked.tokenizer, rows) for name, rows in observed.texts.items()}
    contexts = checked.texts.context_strings(checked.tokenizer)
    index, lexicon = TrainingIndex(checked.training), lexicon_for(checked, contexts)
    all_contexts = dict.fromkeys(strings, contexts)
    scores = score(observed.texts, checked.training, strings, index, all_contexts, lexicon)
    values = {name: dict(found.per_text) for name, found in scores.items()}
    found = {name: found.summary() for name, found in scores.items()}
    for name, counts in observed.blocks.items():
        found[name] |= to_json(block_shares(counts))
    for name, alike in likenesses(checked, strings, conditions):
        found[name]["mauve"] = alike
    for name, by_text in coherences_of(checked, strings, contexts).items():
        values[name]["coherence"] = by_text
        found[name]["coherence"] = estimate(by_text).to_dict()
    results = {
        "settings": plain_settings(checked, observed, lexicon),
        "conditions": found,
        "models": observed.models,
        "agreement": observed.agreement,
        "comparisons": comparisons(values, conditions),
        "copies": copies(
            observed.texts, index, checked.training, partial(excerpt, checked.tokenizer), checked.names, all_contexts
        ),
        **({"tasks": observed.tasks} if observed.tasks else {}),
    }
    save_samples(folder, checked, strings, conditions, observed.written_by)
    save_values(folder, context_keys(contexts, strings[HUMAN]), values, observed.by_text)
    write_json(folder / "evaluation.json", results)
    return results


def check_all(
    run: RunDir, settings: EvaluationSettings, output: Path, own: Path
) -> tuple[CheckedEvaluation, Harness | None]:
    """The evaluation and its tasks, if there are any; ``own`` is for those that come with hyperfit.

    Raises UserError with every problem there is.
    """
    problems: list[str] = []
    with collecting(problems):
        checked = check_evaluation(run, settings, output)
    with collecting(problems):
        harness = check_tasks(settings, own)
    if problems:
        raise UserError(*problems)
    return checked, harness


def say_first(checked: CheckedEvaluation) -> None:
    """Say what will be slow, fewer or undefined."""
    settings = checked.settings
    if settings.batch_invariant:
        say(ONE_AT_A_TIME)
    if len(checked.texts.rows) < settings.most_contexts:
        enough = (
            f"of {settings.total} tokens"
            if checked.texts.all_of(settings.total)
            else f"that are followed by {settings.total - settings.context} tokens"
        )
        say(f"{len(checked.texts.rows)} contexts: no more {enough} are there")
    if settings.total - settings.context < TTR_WINDOW:
        say(f"continuations of {settings.total - settings.context} tokens have no TTR, which takes {TTR_WINDOW}")


def lexicon_for(checked: CheckedEvaluation, contexts: Sequence[str]) -> Lexicon | None:
    """What counts as a word in the language of training data and contexts; None where that is not known, and said."""
    lexicon = lexicon_of(map(partial(excerpt, checked.tokenizer), checked.training), contexts)
    if lexicon is None:
        say(NO_LEXICON)
    return lexicon


def likenesses(
    checked: CheckedEvaluation,
    strings: Mapping[str, Sequence[str]],
    conditions: Sequence[Condition],
) -> Iterator[tuple[str, Named]]:
    """(condition, MAUVE of its texts against the human ones); nothing where that is not asked for."""
    if checked.settings.mauve is None:
        return
    for one in conditions:
        yield (
            one.name,
            likeness(
                one.name, strings[HUMAN], strings[one.name], featuriser=checked.settings.mauve, device=checked.device
            ),
        )


def coherences_of(
    checked: CheckedEvaluation,
    strings: Mapping[str, Sequence[str]],
    contexts: Sequence[str],
) -> dict[str, list[float]]:
    """Condition → coherence of each text with its context; nothing where that is not asked for."""
    if checked.settings.coherence is None:
        return {}
    return coherences(
        {name: list(zip(contexts, rows, strict=True)) for name, rows in strings.items()},
        scorer=checked.settings.coherence,
        device=checked.device,
        precision=checked.precision,
    )


def plain_settings(checked: CheckedEvaluation, observed: Observed, lexicon: Lexicon | None) -> Named:
    """The settings as JSON holds them, with what they came to on this machine; of tasks only where there are some."""
    given = dataclasses.asdict(checked.settings)
    on_tasks = bool(observed.tasks)
    return {
        **{name: value for name, value in given.items() if on_tasks or name not in OF_TASKS},
        **({"lm_eval": version("lm_eval")} if on_tasks else {}),
        "blocked": [str(decoding) for decoding in checked.settings.decodings_blocked],
        "device": str(checked.device),
        "precision": checked.precision,
        "attention": observed.attention,
        "largest_batches": observed.largest,
        "written_by": observed.written_by,
        "lexicon": lexicon and lexicon.language,
    }


def comparisons(values: Mapping[str, Mapping[str, list[float]]], conditions: Sequence[Condition]) -> dict[str, Any]:
    """Hyperfitted minus base, and blocked minus not blocked, for every measure of texts, paired over the contexts."""
    pairs = [
        (one, dataclasses.replace(one, blocked=False) if one.blocked else dataclasses.replace(one, model="base"))
        for one in conditions
        if one.model == "hyperfitted"
    ]
    return {
        f"{one.name} - {other.name}": to_json(paired_differences(values[one.name], values[other.name], ALL_SHARES))
        for one, other in pairs
    }
