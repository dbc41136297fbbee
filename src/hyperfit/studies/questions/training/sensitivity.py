"""What was asked for: how much the outcome hangs on learning rate, batch, rank and length of the training."""

import math
from dataclasses import replace
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.models.loading import load_config
from hyperfit.numbers import RATIO
from hyperfit.recipes.defaults import filled_in
from hyperfit.studies.measures.results import BASE, HUMAN, UNKNOWN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Findings, Study, Table, Trial, changed
from hyperfit.studies.words import answer, each

REFERENCE = "as it is"
HALF_THE_EPOCHS = "half the epochs"
MEASURES = (
    "ttr",
    "word_share",
    "loop_share",
    "longest_overlap",
    "long_overlap_share",
    "perplexity",
    "train_loss",
    "epochs",
)
FACTORS = (0.25, 0.5, 2.0, 4.0)
TWICE_OR_HALF = (0.5, 2.0)
CLOSE = 0.05
"""Change of a type-token ratio that counts as none."""


def trials(settings: StudySettings) -> list[Trial]:
    """One setting at a time, nearest first: rates up to a factor of four, others of two; fewer sequences."""
    recipe = replace(settings.recipe, lr=rate_of(settings))
    width = load_config(settings.model).get_text_config(decoder=True).hidden_size
    found = [Trial(REFERENCE, recipe)]
    for factor in sorted(FACTORS, key=lambda factor: max(factor, 1 / factor)):
        assert recipe.lr is not None
        changes: list[dict[str, Any]] = [{"lr": recipe.lr * factor}]
        if factor in TWICE_OR_HALF:
            changes.append({"batch_size": max(1, round(recipe.batch_size * factor))})
            changes.append({"stop_loss": recipe.goal * factor})
        if factor < 1:
            changes.append({"samples": max(1, round((recipe.samples or 1) * factor))})
        if recipe.adapters and factor in TWICE_OR_HALF:
            changes.append({"rank": min(width, max(1, round(recipe.rank * factor)))})
        for change in changes:
            ((name, value),) = change.items()
            if value != getattr(recipe, name):
                found.append(Trial(f"{name.replace('_', ' ')} {value:g}", replace(recipe, **change)))
    kept = replace(recipe, keep_every=1)
    found.append(Trial(HALF_THE_EPOCHS, kept, epoch=lambda run: max(1, run.events("epoch")[-1]["epoch"] // 2)))
    return list({trial.label: trial for trial in found}.values())


def rate_of(settings: StudySettings) -> float:
    """The learning rate in force."""
    config = load_config(settings.model).get_text_config(decoder=True)
    return filled_in(settings.recipe, config.num_hidden_layers, config.hidden_size).learning_rate


def tell(results: Results) -> Findings:
    """Which changes move the ratio, corrected for the number of comparisons."""
    labels = [label for label in results.labels if label != HALF_THE_EPOCHS or is_another(results)]
    others = [label for label in labels if label != REFERENCE]
    moved = {
        label: results.difference(label, REFERENCE, "ttr", comparisons=len(others))
        for label in others
        if REFERENCE in labels
    }
    rows = [changed(results.row(label, MEASURES), moved.get(label, UNKNOWN)) for label in (BASE, *labels, HUMAN)]
    table = Table("sensitivity", "One setting at a time", rows, (MEASURES[0], "ttr_change", *MEASURES[1:]))
    if REFERENCE not in labels or not others:
        return Findings("Not shown", "Fewer than two settings were trained.", [table])
    if math.isnan(results.estimate(REFERENCE, "ttr").value):
        return Findings("Not shown", "No type-token ratio is defined: texts are too short.", [table])
    far = {label: off for label, off in moved.items() if said_of(off) == "Yes"}
    close = [label for label, off in moved.items() if said_of(off) == "No"]
    said = "; ".join(f"{label} {RATIO.within(off, '+')}" for label, off in far.items()) or "none"
    return Findings(
        each(map(said_of, moved.values())) if far or close else "Not shown",
        f"Of {len(others)} changes by a factor of two or four, {len(far)} move the type-token ratio: {said}. "
        f"{len(close)} keep it within {RATIO.told(CLOSE)}, and of {len(others) - len(far) - len(close)} the interval "
        "is too wide to say. Intervals hold for all changes at once.",
        [table],
    )


def is_another(results: Results) -> bool:
    """Whether half of the epochs is less than all, in any training: one epoch has no half."""
    whole, half = (results.trained.get(label, []) for label in (REFERENCE, HALF_THE_EPOCHS))
    return [one.epochs for one in whole] != [one.epochs for one in half]


def said_of(off: Estimate) -> Answer:
    """Whether a change moves the ratio; No where its interval keeps within CLOSE."""
    if off.low > -CLOSE and off.high < CLOSE:
        return "No"
    return answer(Estimate(abs(off.value), max(off.low, -off.high), max(off.high, -off.low), off.n))


STUDY = Study(
    name="sensitivity",
    trials=trials,
    tell=tell,
    method="The recipe with one setting at a time at half and twice its value, the learning rate also at a quarter and "
    "four times, the number of sequences at a half and a quarter, and stopped after half the epochs that the loss at "
    "which training ends took; differences from the recipe as it is, paired over "
    "contexts and seeds, with intervals for all comparisons at once (Bonferroni). A change counts as none where its "
    f"interval keeps within {RATIO.told(CLOSE)}. Yes or No where all changes count as some, or as none; not shown "
    "where every interval is too wide for either.",
)
