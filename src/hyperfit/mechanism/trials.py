"""Where to adapt: every arm trained, one after the other, in a folder that holds what is done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from statistics import median

from hyperfit.errors import UserError
from hyperfit.mechanism.arms import Arm, Design
from hyperfit.rundir import RunDir, remove
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
    """To fill the prefix cache; 0 where there is none."""

    @property
    def diverged(self) -> bool:
        """Whether there is no model to measure."""
        return self.reason == "nan"

    @property
    def seconds(self) -> float:
        """Of training: epochs times the median, and filling the cache."""
        return self.cache_seconds + self.epochs * self.epoch_seconds

    def epochs_within(self, seconds: float) -> int:
        """Epochs that fit into so much time, at least 1 and at most those there were."""
        fit = int((seconds - self.cache_seconds) / self.epoch_seconds) if self.epoch_seconds else self.epochs
        return min(max(1, fit), self.epochs)


def train_arms(design: Design, folder: Path, *, tell: Callable[[str], None] = lambda line: None) -> list[Trained]:
    """Every arm of ``design``, the reference first; those at equal time have the epochs that fit into its seconds.

    An arm that lies in ``folder`` finished is not trained again, and one that was interrupted goes on. Raises UserError
    for what training refuses, but not for an arm that diverges.
    """
    done: list[Trained] = []

    def run(arm: Arm) -> Trained:
        trained = train_arm(arm, folder)
        tell(
            f"{arm.name}: training loss {trained.train_loss:.3f} after {trained.epochs} epochs ({trained.reason}), "
            f"{trained.seconds:.0f} s"
        )
        done.append(trained)
        return trained

    for first, *others in design.arms():
        trained = run(first)
        if len(done) > 1 and not (trained.diverged or done[0].diverged):
            epochs = trained.epochs_within(done[0].seconds)
            if epochs < trained.epochs:
                run(first.within(epochs))
            else:
                done.append(replace(trained, arm=replace(first, equal="time")))
        for arm in others:
            run(arm)
        remove(folder / CACHE)
    return done


def train_arm(arm: Arm, folder: Path) -> Trained:
    """Train an arm, or go on with it, unless that is done. What lies there of another recipe goes."""
    path = folder / arm.name
    if (path / "recipe.json").is_file() and RunDir(path).recipe != arm.recipe:
        remove(path)
    try:
        train(arm.recipe, path, resume=True, cache_dir=folder / CACHE, tell=lambda line: None)
    except UserError:
        if (RunDir(path).end or {}).get("reason") != "nan":
            raise
    run = RunDir.open(path)
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
    )
