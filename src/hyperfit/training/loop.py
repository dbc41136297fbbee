"""The loop to near-zero loss: epochs of updates, what follows each, and what an interruption leaves."""

import gc
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch.nn.parallel import DistributedDataParallel

from hyperfit.console import progress
from hyperfit.errors import UserError
from hyperfit.numbers import THOUSANDTHS
from hyperfit.prefix.cache import PrefixCache
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.trackers import Track
from hyperfit.training import stopping
from hyperfit.training.checks import CheckedRecipe
from hyperfit.training.lines import unjudged, verdict
from hyperfit.training.looks import Looks, Say
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.memory import forget_peak, peak_memory
from hyperfit.training.processes.sharding import Sharded, own_rows
from hyperfit.training.saving import Saving
from hyperfit.training.state import State


@dataclass(frozen=True)
class Loop:
    """One training under way. What changes is in ``state``; dropout is off, as the model stays in evaluation mode."""

    checked: CheckedRecipe
    run: RunDir
    state: State
    prefix: PrefixCache | None
    accelerator: Accelerator
    stop: Callable[[], bool]
    """Whether this process has been asked to stop."""
    notify: Say
    track: Track
    """Takes the events of epochs, for trackers."""
    sharded: Sharded | None = None
    """Around a model that is divided among the processes; None where every process holds all of it."""

    @cached_property
    def looks(self) -> Looks:
        """At the model between epochs."""
        return Looks(self.checked, self.run, self.state, self.accelerator, self.notify, self.track, self.sharded)

    @cached_property
    def saving(self) -> Saving:
        """Of what is left."""
        return Saving(self.checked, self.run, self.state, self.accelerator, self.sharded)

    def run_epochs(self) -> None:
        """Epochs until the loss is reached, the epochs are used up, or a signal asks to stop."""
        state, recipe, main = self.state, self.checked.recipe, self.accelerator.is_main_process
        model, optimizer = self.prepared()
        if state.update == 0 and self.looks.takes_part:
            self.looks.begin()
        processes = self.run.environment["processes"]  # at the start: a run that goes on with others keeps its updates
        gc.collect()  # an earlier training of this process may be left in cycles, and would count as memory of this one
        while state.reason is None:
            forget_peak(self.checked.device)
            started = time.monotonic() - state.seconds
            updates = epoch_order(recipe, state.epoch, len(self.checked.corpus.train), processes)
            what = f"epoch {state.epoch + 1} of at most {recipe.epochs}, updates"
            with progress(what, len(updates), quiet=not main) as advance:
                advance(state.batch)
                for number in range(state.batch, len(updates)):
                    if self.prefix is not None:
                        for soon in updates[number + 1 : number + 2]:
                            self.prefix.expect(self.checked.corpus.train[soon])
                    interrupted = self.update(model, optimizer, updates[number])
                    if not math.isfinite(state.loss_sum):
                        raise self.diverged()
                    if interrupted:
                        state.seconds = time.monotonic() - started
                        raise self.interrupted()
                    advance(1)
            self.end_epoch(time.monotonic() - started)
            self.accelerator.wait_for_everyone()
        self.finish()
        self.accelerator.wait_for_everyone()

    def prepared(self) -> tuple[Any, torch.optim.Optimizer]:
        """(The loss of sequences, to be called like ``SequenceLoss``; the optimiser), as this many processes train."""
        loss = SequenceLoss(self.state.model, self.checked.autocast, self.checked.recipe.unlikelihood)
        if self.sharded is not None:
            return partial(self.sharded, loss), self.state.optimizer
        # streaming has let go of these, and there is nothing of them that processes could send each other
        unread = [name for name, parameter in loss.named_parameters() if parameter.is_meta]
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(loss, unread)
        model, optimizer = self.accelerator.prepare(loss, self.state.optimizer)
        return model, optimizer

    def update(self, model: Any, optimizer: torch.optim.Optimizer, rows: list[int]) -> bool:
        """One optimiser step on the mean loss over the tokens of ``rows``; true if a process was asked to stop.

        A loss that is not finite goes into the sum and leaves the weights as they were.
        """
        checked, state, accelerator = self.checked, self.state, self.accelerator
        predicted = checked.corpus.predicted(rows)
        mine = rows[accelerator.process_index :: accelerator.num_processes]
        most = -(-len(rows) // accelerator.num_processes)  # a process with fewer rows, or none, still takes part
        pieces = [mine[start : start + checked.batch_size] for start in range(0, most, checked.batch_size)]
        wide = torch.float32 if checked.device.type == "mps" else torch.float64  # MPS has no float64
        loss_sum = torch.zeros((), dtype=wide, device=checked.device)
        for index, piece in enumerate(pieces):
            # every pass has the same shape, and with it the same rounding; what fills it up does not count
            filled_up = [*piece, *[rows[0]] * (checked.batch_size - len(piece))]
            ids = checked.corpus.train[filled_up].to(checked.device)
            learned = checked.corpus.learned
            if learned is not None:
                learned = learned[filled_up].to(checked.device)
            last = index == len(pieces) - 1
            with nullcontext() if last or self.sharded is not None else accelerator.no_sync(model):
                # gradients are averaged over processes; the loss is a mean over the tokens of all of them
                loss, part = model(ids, len(piece), accelerator.num_processes / predicted, learned)
                accelerator.backward(part)
            loss_sum += loss
        reduced = accelerator.reduce(torch.stack([loss_sum, loss_sum.new_tensor(float(self.stop()))]), reduction="sum")
        state.loss_sum += float(reduced[0])
        if math.isfinite(state.loss_sum):
            if checked.recipe.clip is not None:
                accelerator.clip_grad_norm_(list(state.learned.values()), checked.recipe.clip)
            optimizer.step()
            optimizer.zero_grad()
            state.batch += 1
            state.update += 1
            state.tokens += predicted
        return bool(reduced[1] > 0)

    def end_epoch(self, seconds: float) -> None:
        """Decide whether training has ended, probe, log, and save a checkpoint."""
        state, recipe = self.state, self.checked.recipe
        memory = peak_memory(self.checked.device)
        self.check_weights()
        loss = state.loss_sum / state.tokens
        state.epoch, state.batch, state.loss_sum, state.tokens = state.epoch + 1, 0, 0.0, 0
        state.seconds = 0.0
        if recipe.stop_loss is not None and loss <= recipe.stop_loss:
            state.reason = "loss"
        elif state.epoch == recipe.epochs:
            state.reason = "epochs"
        kept = state.reason is None and bool(recipe.keep_every) and state.epoch % recipe.keep_every == 0
        always = kept or state.reason is not None
        event = self.looks.probe(loss, seconds, memory, always=always) if self.looks.takes_part else {}
        recites = self.looks.recite(event)
        if recites:
            self.looks.go_back()
            return
        if state.reason is None and self.looks.settled():
            state.reason = "auto"
        if recites is False:
            state.sound = state.update
        if kept:
            self.saving.keep(loss, event)
        if state.reason or state.epoch % recipe.checkpoint_every == 0 or state.sound == state.update:
            self.saving.checkpoint()

    def finish(self) -> None:
        """Save the result, and say plainly whether its goal was reached."""
        self.saving.result()
        if not self.accelerator.is_main_process:
            return
        state, goal, last = self.state, self.checked.recipe.stop_loss, self.run.events("epoch")[-1]
        if self.prefix is not None and not self.checked.streaming:
            self.notify(self.prefix.saving())
        loss, copied = last["train_loss"], self.saving.copied(last)
        ended = verdict(str(state.reason), loss, goal, copied, stopping.AUTO.name, self.checked.least_loss)
        epochs = f"{state.epoch} epoch{'s' * (state.epoch != 1)}"
        told = f"{ended}: training loss {THOUSANDTHS.told(loss)} after {epochs}; {self.run.result}"
        judged = unjudged(self.checked.recipe) if copied else ""
        self.notify("; ".join(filter(None, (told, copied, judged))))

    def check_weights(self) -> None:
        """Raises UserError if a trained weight is no longer finite: the last update may have done it unseen."""
        lost = sum(not bool(own_rows(parameter).isfinite().all()) for parameter in self.state.learned.values())
        if self.accelerator.reduce(torch.tensor(lost, device=self.checked.device), reduction="sum"):
            raise self.diverged()

    def diverged(self) -> UserError:
        """Loss or weights are NaN or infinite: log it; the newest checkpoint is the last good state."""
        if self.accelerator.is_main_process:
            self.run.append({**self.state.event("end"), "reason": "nan"})
        return UserError(
            f"--lr {self.checked.recipe.learning_rate}: loss or weights became NaN or infinite in epoch "
            f"{self.state.epoch + 1}, about update {self.state.update}; give a smaller --lr (or --precision fp32) and "
            "a new --output. "
            f"The last good state, if an epoch was completed, stays in {self.run.path / 'checkpoints'}"
        )

    def interrupted(self) -> KeyboardInterrupt:
        """Leave a checkpoint in the middle of the epoch, and log that the run was interrupted."""
        self.check_weights()
        self.saving.checkpoint()
        if self.accelerator.is_main_process:
            self.run.append({**self.state.event("end"), "reason": "interrupted"})
        self.accelerator.wait_for_everyone()  # a launcher ends all processes when the first one leaves
        self.notify(f"interrupted after update {self.state.update}; repeat the command with --resume to go on")
        return KeyboardInterrupt()


def epoch_order(recipe: Recipe, epoch: int, count: int, processes: int) -> list[list[int]]:
    """The rows of each update of an epoch: all of them, the last update as small as it comes out."""
    seed = recipe.seed if recipe.order_seed is None else recipe.order_seed
    order = np.random.default_rng([seed, 3, epoch]).permutation(count).tolist()
    if epoch == 0:
        places = np.random.default_rng([seed, 4]).permutation(count).tolist()
        for one, other in list(zip(places[::2], places[1::2], strict=False))[: recipe.order_swaps]:
            order[one], order[other] = order[other], order[one]
    size = recipe.batch_size * recipe.accumulate * processes
    return [order[start : start + size] for start in range(0, count, size)]
