"""A grid of trainings: each in a folder of its own, taken up where it was left, and never done twice."""

from dataclasses import dataclass
from math import nan
from pathlib import Path
from statistics import median
from typing import Generic, Protocol, TypeVar

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import ENDED, RunDir
from hyperfit.runs.files import remove
from hyperfit.runs.result import same_base
from hyperfit.training.loop import train

CACHE = ".prefix-cache"
"""Folder beside the arms; each place's cache goes when the place is done."""


class Trial(Protocol):
    """One training of a grid."""

    @property
    def name(self) -> str:
        """Of its folder: different for different trials of one grid."""

    @property
    def recipe(self) -> Recipe:
        """How it is trained."""


Kind = TypeVar("Kind", bound=Trial)


@dataclass(frozen=True, kw_only=True)
class Trained(Generic[Kind]):
    """A trial and how its training ended."""

    trial: Kind
    run: RunDir
    parameters: int
    """Trained ones."""
    epochs: int
    reason: str
    """Why training ended: loss, epochs, or nan if it diverged."""
    train_loss: float
    """Of the last epoch, nats per token; NaN if it diverged."""
    epoch_seconds: float
    """Median of an epoch's training, without what is looked at or saved after it."""
    cache_seconds: float
    """To fill the prefix cache; 0 where there is none. Also counted where an earlier trial filled it."""
    found: bool = False
    """Whether it was trained before."""

    @property
    def diverged(self) -> bool:
        """Whether there is no model to measure."""
        return self.reason == "nan"

    @property
    def seconds(self) -> float:
        """Of training: epochs times the median, and filling the cache."""
        return self.cache_seconds + self.epochs * self.epoch_seconds

    def epochs_within(self, seconds: float) -> int:
        """Epochs that fit into so much time, at least 1; no more than there were if the goal was reached in them."""
        fit = self.epochs
        if self.epoch_seconds:
            fit = max(1, int((seconds - self.cache_seconds) / self.epoch_seconds + 1e-6))  # a tie, up to rounding
        return min(fit, self.epochs) if self.reason == "loss" else fit


def train_trial(trial: Kind, folder: Path) -> Trained[Kind]:
    """Train a trial, or go on with it, unless that is done.

    What lies there of another recipe or of other weights, or damaged, goes.
    """
    path = folder / trial.name
    if path.exists() and not sound(RunDir(path), trial):
        remove(path)
    ended = has_ended(RunDir(path))
    if not ended:
        try:
            train(trial.recipe, path, resume=True, cache_dir=folder / CACHE, notify=lambda line: None)
        except UserError:
            if not has_ended(RunDir(path)):  # if it has, it diverged
                raise
    run = RunDir.open(path)
    run.discard_checkpoints()  # of a training that diverged
    end, epochs = run.end or {}, run.events("epoch")[1:]
    return Trained(
        trial=trial,
        run=run,
        parameters=run.environment["trainable_parameters"],
        epochs=len(epochs),
        reason=end["reason"],
        train_loss=end.get("train_loss", nan),
        epoch_seconds=median(epoch["seconds"] for epoch in epochs) if epochs else 0.0,
        cache_seconds=(run.environment["prefix_cache"] or {}).get("seconds", 0.0),
        found=ended,
    )


def has_ended(run: RunDir) -> bool:
    """Whether training has come to its end, or diverged."""
    return (run.end or {}).get("reason") in (*ENDED, "nan")


def sound(run: RunDir, trial: Trial) -> bool:
    """Whether a trial's recipe made what lies in the folder, of the same weights, and all of it can be read.

    Raises UserError if the base model cannot be: then nothing is known, and nothing may go.
    """
    try:
        same = run.recipe == trial.recipe and bool(run.environment)
        whole = (run.end or {}).get("reason") not in ENDED or any(run.result.glob("*.safetensors"))
    except UserError:
        return False
    return same and whole and same_base(run)
