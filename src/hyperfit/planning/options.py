"""The ways to train a model, and what each takes of a machine."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from hyperfit.models.devices import positions_within
from hyperfit.models.files.quantized import is_quantized
from hyperfit.planning.machine import Machine
from hyperfit.planning.rehearsal import Rehearsal, rehearse
from hyperfit.recipes.defaults import default_late_blocks
from hyperfit.recipes.recipe import MOST_SAMPLES, Method, Precision, Recipe
from hyperfit.training.processes.launch import LAUNCH_FSDP2, LAUNCH_WHOLE

CHECKPOINTS = 3
"""On the disk at once: the newest two, and the one that is being written."""


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way to train, and what it takes, in bytes and seconds."""

    method: Method
    streaming: bool
    blocks: int
    """That learn."""
    batch_size: int
    parameters: int
    """Of the model."""
    trainable: int
    """Parameters that learn."""
    weights: int
    """What is in memory and does not learn."""
    learning: int
    """What learns, in fp32."""
    optimiser: int
    """Adam's two moments."""
    passing: int
    """What passes, at its most: activations, gradients, logits; with several GPUs the gradients that they exchange."""
    program: int
    """The program, its libraries and the gaps between tensors; on a GPU they are in the share that is left free."""
    peak: int
    """All of these together, of each GPU."""
    fits: bool
    cache: int
    """Of the prefix cache on the disk; 0 without one."""
    no_cache: str | None
    """Why there is none."""
    checkpoints: int
    """Of the checkpoints on the disk, at their most."""
    result: int
    """Of the adapter or the model on the disk."""
    fill_seconds: float | None
    """To fill the prefix cache, once; None where the rate is not known."""
    epoch_seconds: float | None
    """Of an epoch's updates."""
    command: str
    """The line that starts it."""
    instead: str
    """What would fit, where this does not: flags, or nothing."""
    shares: int | None
    """Bytes of weights, gradients and moments on each GPU where FSDP2 divides them; None where it cannot."""
    divided_peak: int | None
    """Bytes of each GPU at their most, then: with what passes, and what is put together to compute."""
    divided: str
    """The line that starts it so, where that fits and this does not; or nothing."""


@dataclass(frozen=True)
class Planner:
    """Rehearses trainings of a model and sets them beside a machine."""

    config: Any
    machine: Machine
    precision: Precision = "auto"
    """As it was asked for; what is rehearsed has none of its own left open."""
    rehearsed: dict[Recipe, Rehearsal] = field(default_factory=dict)
    """With and without ``--streaming`` the same ones are asked for."""

    def options(self, recipe: Recipe) -> Iterator[Option]:
        """A training as it is and, where it can be, with ``--streaming``: plain weights."""
        found = self.rehearse(recipe)
        yield self.option(recipe, found, streaming=False)
        if found.streamed and not is_quantized(self.config):
            yield self.option(recipe, found, streaming=True)

    def rehearse(self, recipe: Recipe) -> Rehearsal:
        """The training rehearsed, with as many logits at once as the machine's memory allows."""
        if recipe in self.rehearsed:
            return self.rehearsed[recipe]
        vocabulary = self.config.get_text_config(decoder=True).vocab_size
        positions = positions_within(
            self.machine.memory, vocabulary, accelerator=self.machine.gpus > 0, learns=recipe.method == "full"
        )
        self.rehearsed[recipe] = rehearse(self.config, recipe, positions=positions)
        return self.rehearsed[recipe]

    def option(self, recipe: Recipe, found: Rehearsal, *, streaming: bool) -> Option:
        """What a training takes that was rehearsed."""
        weights = found.weights - (found.streamed if streaming else 0)
        tensors = self.tensors(found, streaming=streaming)
        program = self.machine.beside(tensors)
        count, rate = recipe.samples or 0, self.machine.rate
        fits = tensors + program <= self.machine.usable
        gpus = 0 if self.machine.gpus < 2 or recipe.adapters else self.machine.gpus
        divided_peak = found.divided_peak(gpus, recipe.accumulate) if gpus else None
        divided = not fits and divided_peak is not None and divided_peak <= self.machine.usable
        return Option(
            method=recipe.method,
            streaming=streaming,
            blocks=len(found.blocks),
            batch_size=recipe.batch_size,
            parameters=found.parameters,
            trainable=found.trainable,
            weights=weights,
            learning=found.learning,
            optimiser=found.optimiser,
            passing=tensors - weights - found.learning - found.optimiser,
            program=program,
            peak=tensors + program,
            fits=fits,
            cache=count * found.states,
            no_cache=found.no_cache,
            checkpoints=CHECKPOINTS * (found.learning + found.optimiser),
            result=found.learning if recipe.adapters else 4 * found.parameters,
            fill_seconds=rate and count * found.fill_operations / rate,
            epoch_seconds=rate and count * found.operations / rate,
            command=self.command(recipe, streaming=streaming),
            instead="" if fits else self.instead(recipe, found, streaming=streaming),
            shares=found.shares(gpus) if gpus else None,
            divided_peak=divided_peak,
            divided=self.command(recipe, streaming=False, launch=LAUNCH_FSDP2) if divided else "",
        )

    def tensors(self, found: Rehearsal, *, streaming: bool) -> int:
        """Most bytes of tensors on each GPU, or on the CPU."""
        exchanged = found.learning if self.machine.gpus > 1 else 0
        return found.peak(streaming=streaming) + exchanged

    def instead(self, recipe: Recipe, found: Rehearsal, *, streaming: bool) -> str:
        """The flags with which a training fits that does not: a smaller batch, then fewer late blocks; or nothing."""
        size, held = recipe.batch_size, found.peak(streaming=streaming) - found.update
        while size > 1 and held < self.machine.usable:
            size //= 2
            if self.fits(replace(recipe, batch_size=size), streaming=streaming):
                return flags({"batch_size": size})
        fewest = replace(recipe, batch_size=1, late_blocks=1)
        if not recipe.late or recipe.last_blocks == 1 or not self.fits(fewest, streaming=streaming):
            return ""
        few, many = 1, recipe.last_blocks  # the one fits, the other does not
        while many - few > 1:
            middle = (few + many) // 2
            if self.fits(replace(fewest, late_blocks=middle), streaming=streaming):
                few = middle
            else:
                many = middle
        return flags({"batch_size": 1, "late_blocks": few})

    def fits(self, recipe: Recipe, *, streaming: bool) -> bool:
        """Whether a training goes into the machine's memory."""
        tensors = self.tensors(self.rehearse(recipe), streaming=streaming)
        return tensors + self.machine.beside(tensors) <= self.machine.usable

    def command(self, recipe: Recipe, *, streaming: bool, launch: str = LAUNCH_WHOLE) -> str:
        """The line that starts a training, with what is not a default. launch: how several processes are started.

        It names the precision if that was asked for, and the CPU if it is for that: a GPU that is there would be taken.
        """
        gpus, depth = self.machine.gpus, self.config.get_text_config(decoder=True).num_hidden_layers
        start = "hyperfit" if gpus < 2 else f"{launch} --num_processes {gpus} -m hyperfit"
        usual = {"late_blocks": default_late_blocks(depth), "samples": MOST_SAMPLES, "accumulate": Recipe.accumulate}
        usual |= {"rank": Recipe.rank, "batch_size": Recipe.batch_size, "length": Recipe.length}
        names = [*(["late_blocks"] * recipe.late), *(["rank"] * recipe.adapters)]
        names += ["batch_size", "accumulate", "samples", "length"]
        given = {name: getattr(recipe, name) for name in names if getattr(recipe, name) != usual[name]}
        words = [start, "train", shlex.quote(recipe.model), "--data", recipe.data, "--method", recipe.method]
        words += [flags(given)] if given else []
        words += ["--precision", self.precision] if self.precision != "auto" else []
        return " ".join([*words, *(["--device cpu"] * (not gpus)), *(["--streaming"] * streaming)])


def flags(settings: dict[str, int]) -> str:
    """Settings as they are typed."""
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())
