"""A grid of trainings: each in a folder of its own, taken up where it was left, and never done twice."""

import operator
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import partial
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import torch

from hyperfit.errors import UserError
from hyperfit.models.devices import device_name, pick_precision
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import ENDED, RunDir
from hyperfit.runs.files import remove
from hyperfit.runs.result import same_base
from hyperfit.training.train import train

CACHE = ".prefix-cache"
"""Folder beside the trials; each place's cache goes when the place is done."""


ONLY_LOOKS = (
    "probe_every",
    "greedy_every",
    "probe_texts",
    "validation_samples",
    "checkpoint_every",
    "keep_every",
    "stop_copying",
)
"""Settings on which the trained weights do not depend, unless training ended by stop_copying: of a grid, none does."""
OF_ADAPTERS = ("rank", "alpha", "target_modules")
"""Settings that mean nothing where no adapters are trained."""
DEFAULTS: dict[str, Any] = {one.name: one.default for one in fields(Recipe) if one.default is not MISSING}


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
    peak_memory: float = nan
    """Bytes at the peak of an epoch's training, NaN where the system does not tell."""
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


def train_trial(
    trial: Kind, folder: Path, elsewhere: Callable[[Recipe], RunDir | None] = lambda recipe: None
) -> Trained[Kind]:
    """Train a trial, or go on with it, unless that is done.

    What lies there of another recipe or of other weights, or damaged, goes.
    elsewhere: a run that was trained like that outside of the folder, if there is one (``find_done``); it
    then is the trial, as it lies there.
    """
    if done := elsewhere(trial.recipe):
        return trained_by(trial, done, found=True)
    same = partial(operator.eq, trial.recipe)
    return train_at(trial, folder / trial.name, same=same, cache=folder / CACHE)


def train_at(trial: Kind, path: Path, *, same: Callable[[Recipe], bool], cache: Path) -> Trained[Kind]:
    """The trial as a run in the folder ``path``: as it lies there, gone on with, or trained.

    same: whether the recipe of what lies there is the trial's; if it is not, that goes. cache: of prefix caches.
    """
    if path.exists() and not sound(RunDir(path), same):
        remove(path)
    ended = has_ended(RunDir(path))
    if not ended:
        try:
            train(trial.recipe, path, resume=True, cache_dir=cache, notify=lambda line: None)
        except UserError:
            if not has_ended(RunDir(path)):  # if it has, it diverged
                raise
    run = RunDir.open(path)
    run.discard_checkpoints()  # of a training that diverged
    return trained_by(trial, run, found=ended)


def trained_by(trial: Kind, run: RunDir, *, found: bool) -> Trained[Kind]:
    """A trial with the run that is its training."""
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
        peak_memory=max((epoch.get("peak_memory") or nan for epoch in epochs), default=nan),
        found=found,
    )


def has_ended(run: RunDir) -> bool:
    """Whether training has come to its end, or diverged."""
    return (run.end or {}).get("reason") in (*ENDED, "nan")


def sound(run: RunDir, same: Callable[[Recipe], bool]) -> bool:
    """Whether a recipe that is the ``same`` made what lies in the folder, of the same weights, and all can be read.

    Raises UserError if the base model cannot be: then nothing is known, and nothing may go.
    """
    try:
        alike = same(run.recipe) and bool(run.environment)
        whole = (run.end or {}).get("reason") not in ENDED or any(run.result.glob("*.safetensors"))
    except UserError:
        return False
    return alike and whole and same_base(run)


def find_done(recipe: Recipe, runs: Iterable[RunDir], here: Mapping[str, Any]) -> RunDir | None:
    """The first of the runs that has come to its end and is what training the recipe here would give; None if none is.

    Recipes agree if what trains is the same, however it is said and whatever was looked at on the way. here: what else
    has to be the same, by its name in environment.json: ``machine``, and data_fingerprint if texts may have changed. A
    run whose frozen blocks were computed at every update has other times than a training with a prefix cache, and is
    none. Runs that are damaged are passed over.
    """
    return next((run for run in runs if _is(run, recipe, here)), None)


def _is(run: RunDir, recipe: Recipe, here: Mapping[str, Any]) -> bool:
    try:
        if (run.end or {}).get("reason") not in ("loss", "epochs") or not any(run.result.glob("*.safetensors")):
            return False  # that it would have ended so without a look at what it copies
        environment = run.environment
        depth, frozen = environment["blocks"], min(environment["adapted_blocks"])
        return (
            what_trains(run.recipe, depth) == what_trains(recipe, depth)
            and all(environment.get(name) == value for name, value in here.items())
            and (frozen == 0 or environment["prefix_cache"] is not None)
            and same_base(run)
        )
    except (UserError, KeyError, ValueError):
        return False


def machine(recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """What of this machine decides the numbers and times of a training in one process, as environment.json has it."""
    return {
        "device_name": device_name(device),
        "precision": pick_precision(recipe.precision, device),
        "threads": torch.get_num_threads(),
        "processes": 1,
    }


def what_trains(recipe: Recipe, depth: int) -> Recipe:
    """The recipe in one form for all that say the same of a model of ``depth`` blocks, without what only looks.

    Device and precision are left out: environment.json has them.
    """
    looks = () if recipe.stop == "auto" else ONLY_LOOKS  # else they decide where it ends
    alike = {name: DEFAULTS[name] for name in (*looks, "device", "precision")} | {"lr": recipe.lr}
    alike |= {
        name: recipe.seed if getattr(recipe, name) is None else getattr(recipe, name)
        for name in ("heldout_seed", "order_seed")
    }
    if recipe.adapters:
        start = depth - recipe.last_blocks if recipe.late else 0
        blocks = tuple(sorted(recipe.blocks)) or tuple(range(start, depth))
        alike |= {"method": "lora", "blocks": blocks, "alpha": recipe.lora_alpha}
    else:
        alike |= {name: DEFAULTS[name] for name in OF_ADAPTERS}
    if recipe.method != "late-full":
        alike["late_blocks"] = DEFAULTS["late_blocks"]
    return replace(recipe, **alike)
