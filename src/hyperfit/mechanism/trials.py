"""Where to adapt: every arm trained, one after the other, in a folder that holds what is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from statistics import median

from hyperfit.errors import UserError
from hyperfit.mechanism.arms import Arm, Design
from hyperfit.rundir import ENDED, RunDir, remove
from hyperfit.training import train

CACHE = ".prefix-cache"
"""Folder beside the arms; each place's cache goes when the place is done."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """An arm and how its training ended."""

    arm: Arm
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
    """To fill the prefix cache; 0 where there is none. Also counted where an earlier arm filled it."""
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


def train_arms(design: Design, folder: Path, *, tell: Callable[[str], None] = lambda line: None) -> list[Trained]:
    """Every arm of ``design``, the reference first.

    Those at equal time have the epochs that fit into the reference's seconds, at least one.
    The reference is trained anew even if it is the run, so that all times are of one machine and hour. An arm that lies
    in ``folder`` finished is not trained again, and one that was interrupted goes on. Raises UserError for what
    training refuses, but not for an arm that diverges.
    """
    done: list[Trained] = []
    places = list(design.arms())
    tell(f"{sum(map(len, places))} trainings, and up to {len(places) - 1} more at equal time, in {folder}")

    def run(arm: Arm, place: int) -> Trained:
        trained = train_arm(arm, folder)
        tell(
            f"place {place} of {len(places)}, {arm.name}: training loss {trained.train_loss:.3f} after "
            f"{trained.epochs} epochs, {trained.seconds:.0f} s{' (trained before)' if trained.found else ''}"
        )
        done.append(trained)
        return trained

    for place, (first, *others) in enumerate(places, start=1):
        trained = run(first, place)
        if len(done) > 1 and not (trained.diverged or done[0].diverged):
            epochs = trained.epochs_within(done[0].seconds)
            if epochs == trained.epochs:
                done.append(replace(trained, arm=replace(first, equal="time")))
            else:
                run(first.within(epochs), place)
        for arm in others:
            run(arm, place)
        remove(folder / CACHE)
    return done


def train_arm(arm: Arm, folder: Path) -> Trained:
    """Train an arm, or go on with it, unless that is done. What lies there of another recipe, or damaged, goes."""
    path = folder / arm.name
    if path.exists() and not sound(RunDir(path), arm):
        remove(path)
    ended = has_ended(RunDir(path))
    if not ended:
        try:
            train(arm.recipe, path, resume=True, cache_dir=folder / CACHE, tell=lambda line: None)
        except UserError:
            if not has_ended(RunDir(path)):  # if it has, it diverged
                raise
    run = RunDir.open(path)
    run.discard_checkpoints()  # of a training that diverged
    end, epochs = run.end or {}, run.events("epoch")[1:]
    return Trained(
        arm=arm,
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


def sound(run: RunDir, arm: Arm) -> bool:
    """Whether an arm's recipe made what lies in the folder, and all of it can be read."""
    try:
        same = run.recipe == arm.recipe and bool(run.environment)
        whole = (run.end or {}).get("reason") not in ENDED or any(run.result.glob("*.safetensors"))
        return same and whole
    except UserError:
        return False
