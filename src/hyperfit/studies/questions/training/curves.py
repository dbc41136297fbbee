"""Carlsson et al. (2025), figure 2: losses and variety epoch by epoch, and what early stopping would have chosen."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import RATIO
from hyperfit.studies.measures.pooled import over_runs
from hyperfit.studies.measures.results import Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Row, Study, Table, Trial
from hyperfit.studies.words import answer

LABEL = "to near-zero loss"
SHOWN = {"train_loss": "training", "val_loss": "validation"}
PROBED = ("ttr", "word_share", "longest_overlap", "entropy")


def trials(settings: StudySettings) -> list[Trial]:
    """One training, looked at after every epoch."""
    return [Trial(LABEL, replace(settings.recipe, probe_every=1, greedy_every=1, probe_texts=12))]


def tell(results: Results) -> Findings:
    """Where the validation loss is best, where the type-token ratio is, and whether the first is too early."""
    runs = [epochs for epochs in results.epochs(LABEL) if all(found(epochs, key) for key in ("val_loss", "ttr"))]
    if not runs:
        return Findings("Not shown", "No training was looked at: nothing is held out, or its texts are too short.")
    best_loss = [best(epochs, "val_loss", min) for epochs in runs]
    best_ttr = [best(epochs, "ttr", max) for epochs in runs]
    rows = [
        Row("validation loss best", chosen(runs, best_loss)),
        Row("type-token ratio best", chosen(runs, best_ttr)),
        Row("last epoch", chosen(runs, [epochs[-1]["epoch"] for epochs in runs])),
    ]
    lost = [
        at(epochs, end, "ttr") - at(epochs, early, "ttr")
        for epochs, early, end in zip(runs, best_loss, [epochs[-1]["epoch"] for epochs in runs], strict=True)
    ]
    gap = over_runs(lost)
    sentence = (
        f"The validation loss is best after epoch {spread(best_loss)}, the type-token ratio of greedy text after epoch "
        f"{spread(best_ttr)}. Stopping at the first gives a ratio {RATIO.within(gap)} lower than the last epoch "
        f"(n = {len(lost)} seeds; Carlsson et al., TinyLlama: .43 after epoch 1, where it is best, .645 at the end)."
    )
    charts = [
        Chart(
            "curves-loss",
            "epoch",
            "loss",
            [line(runs, key, name) for key, name in SHOWN.items()],
        ),
        *(Chart(f"curves-{key}", "epoch", key, [line(runs, key, "greedy text")]) for key in PROBED),
    ]
    return Findings(
        answer(gap),
        sentence,
        [
            Table(
                "curves",
                "What early stopping would have chosen",
                rows,
                ("epoch", "train_loss", "val_loss", *PROBED),
                "seeds",
            )
        ],
        charts,
    )


def found(epochs: Sequence[dict[str, Any]], key: str) -> list[dict[str, Any]]:
    """The epochs of training in which a number was measured."""
    return [event for event in epochs if event["epoch"] and event.get(key) is not None]


def best(epochs: Sequence[dict[str, Any]], key: str, choose: Any) -> int:
    """The epoch at which a number is best. Raises ValueError if it was not measured."""
    return int(choose(found(epochs, key), key=lambda event: event[key])["epoch"])


def at(epochs: Sequence[dict[str, Any]], epoch: int, key: str) -> float:
    """A number of one epoch; NaN if it was not measured."""
    found = next((event.get(key) for event in epochs if event["epoch"] == epoch), None)
    return math.nan if found is None else float(found)


def chosen(runs: Sequence[Sequence[dict[str, Any]]], epochs: Sequence[int]) -> dict[str, Estimate]:
    """Numbers at the epoch that was chosen in each run, means over seeds."""
    keys = ("train_loss", "val_loss", *PROBED)
    means = {"epoch": over_runs(list(map(float, epochs)))}
    return means | {
        key: over_runs([at(run, epoch, key) for run, epoch in zip(runs, epochs, strict=True)]) for key in keys
    }


def line(runs: Sequence[Sequence[dict[str, Any]]], key: str, name: str) -> Line:
    """A number by epoch, over the seeds that reach it."""
    last = max((epochs[-1]["epoch"] for epochs in runs), default=0)
    points = [(float(epoch), over_runs([at(run, epoch, key) for run in runs])) for epoch in range(last + 1)]
    return Line(name, [(epoch, value) for epoch, value in points if not math.isnan(value.value)])


def spread(epochs: Sequence[int]) -> str:
    """One number, or the least and the most."""
    return str(epochs[0]) if len(set(epochs)) == 1 else f"{min(epochs)} to {max(epochs)}"


STUDY = Study(
    name="curves",
    trials=trials,
    tell=tell,
    method="One training to near-zero loss; after every epoch, losses and entropy on held-out sequences, and greedy "
    "continuations of twelve held-out contexts. Yes: the interval, over seeds, of how much higher the type-token ratio "
    "is in the end than after the epoch of the best validation loss lies above 0.",
)
