"""One update of a training, and what surrounds it, rehearsed without values: what is held at once, and computed."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from hyperfit.errors import UserError, first_line
from hyperfit.generation.batches.size import bytes_of_text
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.models.adapt import learning
from hyperfit.models.devices import autocast
from hyperfit.models.loading import UNREADABLE, evaluating
from hyperfit.models.structure.forward import hidden_at, within_positions
from hyperfit.planning.count import Count
from hyperfit.planning.divided import Together, rounded_blocks, together
from hyperfit.planning.stage import Stage, absent, set_stage
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.probes import CONTEXT
from hyperfit.training.train import adam


@dataclass(frozen=True, kw_only=True)
class Rehearsal:
    """What a training takes, in bytes and operations."""

    parameters: int
    """Of the model, without adapters."""
    trainable: int
    """Parameters that learn."""
    blocks: tuple[int, ...]
    """Those that learn, counted from 0."""
    frozen: int
    """Blocks whose output the prefix cache holds; 0 without one."""
    no_cache: str | None
    """Why there is none; None where there is one."""
    weights: int
    """Bytes of what does not learn."""
    streamed: int
    """Bytes of these that are not in memory with ``--streaming``."""
    learning: int
    """Bytes of what learns, in fp32."""
    optimiser: int
    """Bytes of Adam's two moments."""
    update: int
    """Most bytes held at once in an update, beside all of these: activations, gradients, logits, rounded weights."""
    forward: int
    """Most of them until the loss is known, without the rounded weights of blocks: activations, logits."""
    kept: int
    """Of these, what backward begins with."""
    together: Together
    """What of the model is whole on each GPU where it is divided."""
    probe: int
    """Bytes that writing the texts of a probe takes, beside weights and moments; 0 where none are written."""
    operations: float
    """Multiplications and additions of an update, for one of its sequences."""
    fill_operations: float
    """Those of a sequence on its way through the frozen blocks, once; 0 without a cache."""
    states: int
    """Bytes of a sequence in the prefix cache; 0 without one."""

    def peak(self, *, streaming: bool = False) -> int:
        """Most bytes held at once. streaming: without the frozen blocks, and without writing texts."""
        held = self.weights + self.learning + self.optimiser
        return held - self.streamed + self.update if streaming else held + max(self.update, self.probe)

    def shares(self, gpus: int) -> int:
        """Bytes that each GPU holds where the model is divided: of weights, gradients in fp32 and moments its part."""
        return (self.weights + 2 * self.learning + self.optimiser) // gpus

    def divided_peak(self, gpus: int, accumulate: int = 1) -> int:
        """Most bytes held at once on each GPU where the model is divided: its part, what is together, what passes.

        That is in the loss, in the block where backward begins, in the one where it ends, at the very end, where the
        gradients of what is outside of the blocks are summed, or in a probe. Gradients come while activations go; with
        more than one pass in an update they are there from the first on.
        """
        whole, gradients = self.together, self.learning // gpus
        before = gradients if accumulate > 1 else 0
        passing = max(
            before + self.forward,
            before + self.kept + whole.learning,
            gradients + whole.learning,
            max(before, gradients - whole.learning_outside // gpus) + 2 * whole.learning_outside,
            self.probe + whole.block,
        )
        return self.shares(gpus) - gradients + whole.outside + passing


def rehearse(config: Any, recipe: Recipe, *, positions: int | None = None) -> Rehearsal:
    """Rehearse the training of a model of this config, the prefix cached where it can be.

    recipe: with nothing left open, precision included (``hyperfit.recipes.defaults.filled_in``). positions: whose
    logits are made together; None: what suits this machine's CPU. Raises UserError for a model whose blocks cannot be
    found, or whose computation depends on values.
    """
    try:
        stage = set_stage(config, recipe)
        with stage.fake:
            return rehearsed(stage, recipe, positions)
    except UNREADABLE as error:  # sizes that do not go together, values that decide, kernels that want some
        raise UserError(
            f"MODEL {recipe.model}: cannot be built and rehearsed without values ({type(error).__name__}: "
            f"{first_line(error)}); mend its config, or train it for an epoch and see in the log what it takes"
        ) from error


def rehearsed(stage: Stage, recipe: Recipe, positions: int | None) -> Rehearsal:
    """``rehearse`` on a stage that is set, under its fake mode."""
    count, ids = Count(), torch.zeros(recipe.batch_size, recipe.length, dtype=torch.int64)
    count.see(stage.held)
    held, learned, counted = count.held, bytes_of(stage.learned), learning(stage.model)
    with count:
        read_below(stage, recipe, ids)
        fill_operations = count.operations / len(ids)
        stage.bypass(*ids.shape)
        passed: list[tuple[int, int]] = []
        update, optimizer = updating(stage, recipe, ids, positions, lambda: passed.append((count.peak, count.held)))
        update()  # the first makes the moments
        moments = bytes_of(value for state in optimizer.state.values() for value in state.values())
        done = count.operations
        count.forget_peak()
        passed.clear()
        update()
        operations = (count.operations - done) / (len(ids) * recipe.accumulate)
    before = held + moments + (rounded_blocks(stage) if recipe.precision == "bf16" else 0)
    forward, kept = (most - before for most in passed[0])
    return Rehearsal(
        parameters=counted.total,
        trainable=counted.trainable,
        blocks=counted.blocks,
        frozen=stage.frozen,
        no_cache=stage.no_cache,
        weights=held - learned - stage.saved,
        streamed=bytes_of(absent(stage.model, stage.frozen)),
        learning=learned,
        optimiser=moments,
        update=count.peak - held - moments + stage.written_out,
        forward=forward,
        kept=kept,
        together=together(stage, recipe.precision),
        probe=probe_bytes(stage, recipe),
        operations=operations,
        fill_operations=fill_operations,
        states=stage.states * recipe.length,
    )


def read_below(stage: Stage, recipe: Recipe, ids: Tensor) -> None:
    """int64[batch, length] sequences on their way through the frozen blocks, as a cache is filled."""
    if stage.frozen:
        with evaluating(stage.model), autocast(ids.device, recipe.precision):
            hidden_at(stage.inner, stage.frozen, within_positions(stage.inner, ids))


def updating(
    stage: Stage, recipe: Recipe, ids: Tensor, positions: int | None, passed: Callable[[], object]
) -> tuple[Callable[[], None], torch.optim.Optimizer]:
    """(what does one update on int64[batch, length] sequences, its optimiser), as the loop of training does it.

    passed: called when the loss of each forward pass is known.
    """
    optimizer = adam(stage.model, recipe)
    loss = SequenceLoss(stage.model, partial(autocast, ids.device, recipe.precision), recipe.unlikelihood, positions)

    def update() -> None:
        for _ in range(recipe.accumulate):
            _, part = loss(ids, len(ids), 1 / ids.numel())
            passed()
            part.backward()
        optimizer.step()
        optimizer.zero_grad()

    return update, optimizer


def probe_bytes(stage: Stage, recipe: Recipe) -> int:
    """What writing a probe's texts takes, as generation reckons it."""
    if not (recipe.greedy_every and recipe.heldout):
        return 0
    config = stage.inner.config.get_text_config(decoder=True)
    number = 2 if recipe.precision == "bf16" else 4
    text = bytes_of_text(config, context=CONTEXT, new_tokens=TTR_WINDOW, number_bytes=number)
    return recipe.probe_texts * text


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Of all values."""
    return sum(one.nbytes for one in tensors)
