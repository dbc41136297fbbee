"""What studies will take before they start: trainings, seconds, disk, memory; each a rough estimate, said as one."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import median

import torch

from hyperfit.evaluation.tasks import continuation
from hyperfit.generation.decodings import parse_decoding
from hyperfit.models.files.classes import model_class
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import blocks_of
from hyperfit.recipes.defaults import default_late_blocks
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.store import Store, diverged, key_of
from hyperfit.studies.grid.training import trained_by
from hyperfit.studies.grid.wanted import Wanted
from hyperfit.studies.measures.bench import BLOCKED
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial

USUAL_EPOCHS = 12
"""Of a training that ends by its loss, where none like it is known."""
WRITTEN = 4
"""How many times as long a token takes that is written as one that is read, in batches of a few."""
CONTINUATION = 100
"""Texts that are written in the time that the task ``builtin:continuation`` takes: 1,152 of some 55 tokens are read."""
OF_PEAK = 0.6
"""Of the speed of a bare product that a training step reaches."""


@dataclass(frozen=True)
class Size:
    """Parameters of a model by what they cost, read off its config."""

    blocks: int
    block: int
    """Parameters of a block."""
    head: int
    """Parameters of the head, whether or not it is the embedding's."""
    total: int

    @classmethod
    def of(cls, model: str) -> "Size":
        """Raises UserError if the model's config cannot be read."""
        config = load_config(model)
        with torch.device("meta"):
            built = model_class(config).from_config(config)
        blocks = blocks_of(built)
        return cls(
            len(blocks),
            sum(p.numel() for p in blocks[-1].parameters()),
            built.get_output_embeddings().weight.numel(),
            sum(p.numel() for p in built.parameters()),
        )

    def learning(self, recipe: Recipe) -> int:
        """Blocks through which gradients pass."""
        if recipe.late:
            return min(self.blocks, recipe.late_blocks or default_late_blocks(self.blocks))
        return self.blocks - min(recipe.blocks, default=0)

    def operations(self, recipe: Recipe) -> float:
        """Of one epoch: forward and backward through what learns, the head included; frozen blocks are cached."""
        tokens = (recipe.samples or 1) * recipe.length
        passes = 4 if recipe.adapters else 6
        return tokens * (
            passes * self.block * self.learning(recipe) + (6 if recipe.method == "full" else 4) * self.head
        )

    def trained(self, recipe: Recipe) -> int:
        """Parameters that learn, those of adapters roughly: 4 times rank and width of a block's seven layers."""
        if recipe.method == "full":
            return self.total
        blocks = len(recipe.blocks) or self.learning(recipe)
        if recipe.method == "late-full":
            return self.block * blocks
        return int(blocks * recipe.rank * 14 * (self.block / 12) ** 0.5)


@dataclass(frozen=True)
class Planned:
    """One training and what it takes."""

    wanted: Wanted
    done: bool
    """Whether it is trained, measured or not."""
    seconds: float
    """With what is still to be measured of it."""
    disk: int
    """Bytes of its result."""
    memory: int
    """Bytes at its peak, roughly: weights, gradients, Adam's moments, activations."""

    @property
    def trial(self) -> Trial:
        """With the looks that all studies want."""
        return self.wanted.trial

    @property
    def left(self) -> bool:
        """Whether there is anything to do for it."""
        return not self.done or self.seconds > 0


@dataclass(frozen=True)
class Planner:
    """Estimates for one store and one set of settings."""

    store: Store
    settings: StudySettings
    studies: Mapping[str, Study]
    """By name, of all that want something."""
    left: Callable[[Wanted], float] = lambda wanted: 0.0
    """How many texts are written in the time that it takes to measure what is not known of a training that is done."""

    def plan(self, wanted: Sequence[Wanted]) -> list[Planned]:
        """Every training with what it takes."""
        return [self.one(one) for one in wanted]

    def one(self, wanted: Wanted) -> Planned:
        """One training."""
        recipe, size = wanted.trial.recipe, self.size
        done = self.store.done(recipe)
        if done:
            seconds = self.left(wanted) * self.of_a_text
        else:
            epochs = self.epochs(recipe)
            looks = epochs / recipe.greedy_every * recipe.probe_texts if recipe.greedy_every else 0
            texts = self.settings.most_contexts * self.rounds(wanted) + self.as_tasks(wanted) + looks
            seconds = epochs * size.operations(recipe) / self.speed + texts * self.of_a_text
        trained = size.trained(recipe)
        held = 4 * size.total + 16 * trained
        activations = recipe.batch_size * recipe.length * size.learning(recipe) * 64 * int((size.block / 12) ** 0.5)
        disk = 4 * (trained if recipe.adapters else size.total)
        return Planned(wanted, done, seconds, 0 if done else disk, held + activations)

    def as_tasks(self, wanted: Wanted) -> float:
        """How many texts take as long as the tasks do; nothing of those of lm-eval, unknown before they are loaded."""
        on_tasks = {(trial.strength, trial.epoch) for name, trial in wanted.models if self.studies[name].tasks}
        return len(on_tasks) * CONTINUATION * (continuation.NAME in self.settings.tasks)

    def rounds(self, wanted: Wanted) -> float:
        """How often all contexts are continued, or what takes as long, when everything is measured of a training."""
        found: dict[object, float] = {}
        for name, trial in wanted.models:
            study, model = self.studies[name], (trial.strength, trial.epoch)
            for total in (self.settings.total, *(one for one in study.more_totals if one > self.settings.total)):
                longer = total / self.settings.total
                found |= {(model, way, total): longer * beams(way) for way in study.decodings(self.settings)}
            found |= {(model, one.name): one.rounds(self.settings) for one in study.extras}
        return sum(found.values())

    @cached_property
    def size(self) -> Size:
        """Of the model."""
        return Size.of(self.settings.model)

    @cached_property
    def speed(self) -> float:
        """Operations a second in training: of the runs that are there, else of a bare product."""
        known = [
            self.size.operations(run.recipe) / trained.epoch_seconds
            for run in self.store.runs()
            if (trained := trained_by(None, run, found=True)).epoch_seconds  # type: ignore[type-var]
        ]
        return median(known) if known else OF_PEAK * product_speed()

    def epochs(self, recipe: Recipe) -> float:
        """How many a training is likely to take.

        As the same with another seed, else as those of this model by this method to this loss, else a usual number.
        """
        if recipe.stop_loss is None:
            return recipe.epochs
        took = [(run.recipe, len(run.events("epoch")) - 1) for run in self.store.runs() if not diverged(run)]
        same = [epochs for done, epochs in took if key_of(_unseeded(done)) == key_of(_unseeded(recipe))]
        near = [epochs for done, epochs in took if _goal(done) == _goal(recipe)]
        return min(recipe.epochs, median(same or near or [USUAL_EPOCHS]))

    @cached_property
    def of_a_text(self) -> float:
        """Seconds to write a text greedily and to read one: a token written takes several times one that is read."""
        tokens = self.settings.total * (1 + WRITTEN)
        return 2 * tokens * self.size.total / self.speed


def beams(way: str) -> float:
    """Texts that are written side by side for each that a study's decoding gives."""
    return parse_decoding(way.removesuffix(BLOCKED)).settings.get("num_beams", 1)


def _goal(recipe: Recipe) -> tuple[object, ...]:
    return recipe.model, recipe.method, recipe.stop_loss


def _unseeded(recipe: Recipe) -> Recipe:
    return replace(recipe, seed=0, heldout_seed=0)


def product_speed() -> float:
    """Operations a second of a matrix product in fp32 on this machine, measured for a tenth of a second."""
    a, b = torch.randn(512, 1024), torch.randn(1024, 1024)
    a @ b
    started, count = time.monotonic(), 0
    while time.monotonic() - started < 0.1:
        a @ b
        count += 1
    return count * 2 * 512 * 1024 * 1024 / (time.monotonic() - started)
