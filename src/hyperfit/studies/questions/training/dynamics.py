"""Carlsson et al. (2025), section 7.2, and the 260 epochs of Li et al. (2026): what comes far beyond zero loss."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT, figures
from hyperfit.studies.measures.extra import Extra, Subject
from hyperfit.studies.measures.pooled import over_runs
from hyperfit.studies.measures.results import Results
from hyperfit.studies.measures.weights import distances
from hyperfit.studies.questions.training.curves import at, best, found, line
from hyperfit.studies.ranges import in_range
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Row, Study, Table, Trial
from hyperfit.studies.words import answer, any_of

PLAIN, DECAYED = "no weight decay", "weight decay 0.1"
DECAY = 0.1
KEPT = 8
"""How often the weights are kept on the way."""
TEXTS = 20
"""How often texts are written on the way, which takes longer than an epoch."""
RISE = 0.1
"""Nats above its best from which on the validation loss counts as risen."""
COMES_BACK = 0.1
"""Share of that rise which has to be undone for a second descent."""
WEIGHTS = "weights"


def trials(settings: StudySettings) -> list[Trial]:
    """Twice the epochs that the recipe allows at most, whatever the loss, without and with weight decay."""
    recipe = settings.recipe
    epochs = 2 * recipe.epochs
    long = replace(
        recipe,
        stop_loss=None,
        epochs=epochs,
        probe_every=1,
        greedy_every=max(1, epochs // TEXTS),
        probe_texts=12,
        keep_every=max(1, epochs // KEPT),
    )
    return [Trial(PLAIN, long), Trial(DECAYED, replace(long, weight_decay=DECAY))]


def moved(subject: Subject) -> dict[str, Any]:
    """By epoch, the norm of what was trained and its distance from where it started."""
    assert subject.run is not None
    runs = {**subject.run.kept, subject.run.events("epoch")[-1]["epoch"]: subject.run}
    return {str(epoch): distances(run) for epoch, run in runs.items()}


def tell(results: Results) -> Findings:
    """How much of its rise the validation loss undoes once the training loss is near zero."""
    there = results.labels
    runs = {label: [one for one in results.epochs(label) if found(one, "val_loss")] for label in there}
    runs = {label: epochs for label, epochs in runs.items() if epochs}
    if not runs:
        return Findings("Not shown", "No training was looked at: nothing is held out.")
    charts = [
        Chart(f"dynamics-{key}", "epoch", key, [line(epochs, key, label) for label, epochs in runs.items()])
        for key in ("train_loss", "val_loss", "entropy", "ttr", "word_share", "longest_overlap")
    ]
    charts += [
        Chart(f"dynamics-{key}", "epoch", key, [by_epoch(results, label, key) for label in runs])
        for key in ("weight_norm", "weight_distance")
    ]
    rows = [
        Row(label, ends(epochs) | {"undone": over_runs(list(map(undone, epochs)))} | weights(results, label))
        for label, epochs in runs.items()
    ]
    table = Table("dynamics", "At the end of training", rows, tuple(rows[0].cells), "seeds")
    back = {
        label: in_range("undone", over_runs(list(map(undone, epochs)), comparisons=len(runs)))
        for label, epochs in runs.items()
    }
    return Findings(
        any_of(answer(share, least=COMES_BACK) for share in back.values()),
        "; ".join(told(label, runs[label], back[label]) for label in runs)
        + f". More than {PERCENT.told(COMES_BACK)} undone would be a second descent, more than 100 % late "
        "generalisation (Carlsson et al. argue that neither is at work).",
        [table],
        charts,
    )


def undone(epochs: Sequence[dict[str, Any]]) -> float:
    """What share of its rise the validation loss undoes in the end: 0 none, above 1 below the best before the rise.

    The rise: from the best so far to the epoch that lies furthest above it; the end: the lowest behind that. NaN where
    there is no rise of more than RISE nats, so that nothing can come back.
    """
    losses = [event["val_loss"] for event in found(epochs, "val_loss")]
    rises = [loss - min(losses[: place + 1]) for place, loss in enumerate(losses)]
    highest = max(range(len(losses)), key=lambda place: rises[place])
    return (losses[highest] - min(losses[highest:])) / rises[highest] if rises[highest] > RISE else math.nan


def told(label: str, runs: Sequence[Sequence[dict[str, Any]]], back: Estimate) -> str:
    """One recipe's course."""
    first = float(np.mean([at(one, best(one, "val_loss", min), "val_loss") for one in runs]))
    last = ends(runs)
    share = f"of its rise {PERCENT.within(back)} is undone" if back.n else "it never rises"
    return (
        f"{label}, {COUNT.told(last['epoch'].value)} epochs to a training loss of {figures(last['train_loss'].value)}: "
        f"validation loss {HUNDREDTHS.told(first)} at best and {HUNDREDTHS.told(last['val_loss'].value)} in the end; "
        f"{share} (n = {len(runs)} seeds)"
    )


def ends(runs: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Estimate]:
    """What the last epochs say, over seeds."""
    keys = ("epoch", "train_loss", "val_loss", "entropy", "ttr", "word_share", "longest_overlap")
    return {key: over_runs([at(one, one[-1]["epoch"], key) for one in runs]) for key in keys}


def weights(results: Results, label: str) -> dict[str, Estimate]:
    """Norm and distance in the end, over seeds."""
    return {
        key: points[-1][1] if (points := by_epoch(results, label, key).points) else over_runs([])
        for key in ("weight_norm", "weight_distance")
    }


def by_epoch(results: Results, label: str, key: str) -> Line:
    """Norm or distance by epoch, over seeds."""
    measured = [one.extra[WEIGHTS] for one in results.models[label] if WEIGHTS in one.extra]
    epochs = sorted({int(epoch) for one in measured for epoch in one})
    points = [
        (float(epoch), over_runs([one.get(str(epoch), {}).get(key, math.nan) for one in measured])) for epoch in epochs
    ]
    return Line(label, points)


STUDY = Study(
    name="dynamics",
    trials=trials,
    tell=tell,
    extras=(Extra(WEIGHTS, moved, of_base=False),),
    method="Twice the most epochs of the recipe, whatever the loss, without weight decay and with 0.1; losses, "
    "texts and the distance of the weights from their start on the way. What comes back: the share of its rise "
    "that the validation loss undoes, over seeds, each with its own choice of validation sequences; Yes where an "
    f"interval lies above {PERCENT.told(COMES_BACK)}, of intervals that hold for both recipes at once. The norm is "
    "that of the change that adapters make, or of the trained weights.",
)
