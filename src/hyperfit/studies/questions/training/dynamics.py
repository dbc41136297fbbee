"""Carlsson et al. (2025), section 7.2, and the 260 epochs of Li et al. (2026): what comes far beyond zero loss."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT, figures
from hyperfit.studies.extra import Extra, Subject
from hyperfit.studies.measures.pooled import over_runs
from hyperfit.studies.measures.results import Results
from hyperfit.studies.questions.training.curves import at, best, found, line
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Chart, Findings, Line, Row, Study, Table, Trial
from hyperfit.studies.weights import distances

PLAIN, DECAYED = "no weight decay", "weight decay 0.1"
DECAY = 0.1
KEPT = 8
"""How often the weights are kept on the way."""
FALLEN = 0.1
"""Nats that the validation loss has to rise above its best, and share of that to undo, for a second descent."""
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
        greedy_every=1,
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
    """Whether validation loss comes down again, or falls below its first best, once the training loss is near zero."""
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
    rows = [Row(label, ends(epochs) | weights(results, label)) for label, epochs in runs.items()]
    table = Table("dynamics", "At the end of training", rows, tuple(rows[0].cells), "seeds")
    second = {label: [second_descent(one) for one in epochs] for label, epochs in runs.items()}
    delayed = {label: [delayed_generalisation(one) for one in epochs] for label, epochs in runs.items()}
    shown = [value for by_label in (second, delayed) for values in by_label.values() for value in values]
    answer: Answer = "Yes" if all(shown) else "Partly" if any(shown) else "No"
    return Findings(
        answer,
        "; ".join(told(label, runs[label], second[label], delayed[label]) for label in runs)
        + f". A second descent undoes {PERCENT.told(FALLEN)} of the rise of the validation loss; "
        "generalisation that comes late takes it below its first best (Carlsson et al. argue that neither is at work).",
        [table],
        charts,
    )


def second_descent(epochs: Sequence[dict[str, Any]]) -> bool:
    """Whether the validation loss, after its largest rise above what was best by then, undoes a part of that rise."""
    losses = [event["val_loss"] for event in found(epochs, "val_loss")]
    rises = [loss - min(losses[: place + 1]) for place, loss in enumerate(losses)]
    highest = max(range(len(losses)), key=lambda place: rises[place])
    fallen = losses[highest] - min(losses[highest:])
    return bool(rises[highest] > FALLEN and fallen >= FALLEN * rises[highest])


def delayed_generalisation(epochs: Sequence[dict[str, Any]]) -> bool:
    """Whether the validation loss falls below an earlier minimum from which it had risen by a tenth of a nat."""
    lowest, highest = math.inf, -math.inf
    for event in found(epochs, "val_loss"):
        loss = event["val_loss"]
        if loss < lowest:
            if highest - lowest > FALLEN:
                return True
            lowest, highest = loss, loss
        highest = max(highest, loss)
    return False


def told(label: str, runs: Sequence[Sequence[dict[str, Any]]], second: list[bool], delayed: list[bool]) -> str:
    """One recipe's course."""
    first = float(np.mean([at(one, best(one, "val_loss", min), "val_loss") for one in runs]))
    last = ends(runs)
    return (
        f"{label}, {COUNT.told(last['epoch'].value)} epochs to a training loss of {figures(last['train_loss'].value)}: "
        f"validation loss {HUNDREDTHS.told(first)} at best and {HUNDREDTHS.told(last['val_loss'].value)} in the end, a "
        f"second descent in {sum(second)} and "
        f"late generalisation in {sum(delayed)} of {len(second)} seeds"
    )


def ends(runs: Sequence[Sequence[dict[str, Any]]]) -> dict[str, Estimate]:
    """What the last epochs say, over seeds."""
    keys = ("epoch", "train_loss", "val_loss", "entropy", "ttr", "word_share", "longest_overlap")
    return {key: over_runs([float(one[-1].get(key) or math.nan) for one in runs]) for key in keys}


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


DYNAMICS = Study(
    name="dynamics",
    question="Does anything come back when training goes on far beyond near-zero loss?",
    source="Carlsson et al. 2025, section 7.2; Li et al. 2026 train for 260 epochs",
    trials=trials,
    tell=tell,
    extras=(Extra(WEIGHTS, moved, of_base=False),),
    method="Twice the most epochs of the recipe, whatever the loss, without weight decay and with 0.1; losses, "
    "texts and the distance of the weights from their start on the way. The norm is that of the change that adapters "
    "make, or of the trained weights.",
)
