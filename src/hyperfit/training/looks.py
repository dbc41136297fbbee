"""What is looked at between epochs, and the rules that end training for what it shows."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from accelerate import Accelerator

from hyperfit.errors import UserError
from hyperfit.runs.directory import RunDir
from hyperfit.runs.trackers import Track
from hyperfit.training import probes, stopping
from hyperfit.training.checks import CheckedRecipe
from hyperfit.training.lines import epoch_line
from hyperfit.training.processes.sharding import Sharded
from hyperfit.training.state import State

Say = Callable[[str], None]


@dataclass(frozen=True)
class Looks:
    """At the model of a training under way, by the first of its processes, which tells the others what follows.

    At one that is divided among the processes all look together, and the first logs what it sees.
    """

    checked: CheckedRecipe
    run: RunDir
    state: State
    accelerator: Accelerator
    notify: Say
    track: Track
    """Takes the events of epochs, for trackers."""
    sharded: Sharded | None = None
    """Around a model that is divided among the processes."""

    @property
    def takes_part(self) -> bool:
        """Whether this process looks."""
        return self.accelerator.is_main_process or self.sharded is not None

    def begin(self) -> None:
        """Look at the model before training, and at the texts of people; log both as epoch 0."""
        human = {} if self.checked.streaming else probes.human_text(self.state.model, self.checked)
        found = self.look(predictions=True, greedy=True)
        self.log({**self.state.event("epoch"), "train_loss": None, **found, **human, "seconds": 0.0})

    def look(self, *, predictions: bool, greedy: bool) -> dict[str, float | str | None]:
        """Probes of the model as it stands, for the log."""
        work = partial(self.found, predictions=predictions, greedy=greedy)
        return self.sharded.look(work) if self.sharded is not None else work()

    def found(self, *, predictions: bool, greedy: bool) -> dict[str, float | str | None]:
        """``look`` at a model that is whole."""
        checked, model, state = self.checked, self.state.model, self.state
        found: dict[str, float | str | None] = {}
        with checked.autocast(), torch.compiler.set_stance("force_eager"):  # texts grow: each length would be compiled
            if predictions:
                known, state.choices = probes.predictions(model, checked.corpus, checked.batch_size, state.choices)
                found |= known
            if greedy and not checked.streaming:
                found |= probes.greedy_text(model, checked)
        return found

    def probe(self, loss: float, seconds: float, memory: int | None, *, always: bool) -> dict[str, Any]:
        """Look at the model after an epoch as the recipe says, or ``always``; log it, say it and return it.

        loss, seconds, memory: of the epoch's training, nats per token and bytes at its peak.
        """
        recipe, epoch = self.checked.recipe, self.state.epoch
        event = {**self.state.event("epoch"), "train_loss": round(loss, 6)}
        due = {
            name: always or (bool(every) and epoch % every == 0)
            for name, every in (("predictions", recipe.probe_every), ("greedy", recipe.greedy_every))
        }
        event |= self.look(**due)
        self.log({**event, "seconds": round(seconds, 2), "peak_memory": memory})
        self.notify(epoch_line(event, recipe.epochs, seconds))
        return event

    def log(self, event: dict[str, Any]) -> None:
        """Add an epoch to the log, and give its numbers to the trackers; done by the first process."""
        if not self.accelerator.is_main_process:
            return
        self.run.append(event)
        self.track(event)

    def recite(self, event: dict[str, Any]) -> bool | None:
        """Whether more of an epoch's greedy texts copy than the recipe bears, in all processes; None: not judged."""
        state, recipe = self.state, self.checked.recipe
        share, most, every = event.get("long_overlap_share"), recipe.stop_copying, recipe.greedy_every
        judged = most is not None and bool(every) and (state.reason is not None or state.epoch % every == 0)
        verdict = -1 if share is None or not judged else int(share > most)
        verdicts = self.accelerator.gather(torch.tensor([verdict], device=self.checked.device))
        return {-1: None, 0: False, 1: True}[int(verdicts[0])]  # the first process has looked

    def settled(self) -> bool:
        """Whether ``--stop auto`` ends training here, the same in all processes."""
        if self.checked.recipe.stop != "auto":
            return False
        ends = self.accelerator.is_main_process and stopping.AUTO.ends(self.run.events("epoch")[1:])
        verdicts = self.accelerator.gather(torch.tensor([int(ends)], device=self.checked.device))
        return bool(verdicts[0])  # the first process has looked

    def go_back(self) -> None:
        """End training, as the texts recite: with the weights of the last checkpoint whose texts do not, if any.

        The log is cut to that place, and a line of its own says which epoch was given up.
        """
        state, main = self.state, self.accelerator.is_main_process
        given_up = self.state.event("recited")
        if state.sound is not None:
            if main:
                self.run.discard_checkpoints(after=state.sound)
            self.accelerator.wait_for_everyone()
            checkpoint = self.run.newest_checkpoint(self.notify)
            if checkpoint is None or checkpoint.place["update"] != state.sound:
                raise UserError(
                    f"{self.run.path}: the checkpoint to go back to (update {state.sound}) is damaged; train again in "
                    "a new --output"
                )
            state.read(checkpoint)
            if main:
                self.run.rewind_events(checkpoint.place["events_size"])
        state.reason = "copying"
        if main:
            self.run.append(given_up)
        before = state.epoch < given_up["epoch"]
        result = (
            f"the result is epoch {state.epoch}" if before else "no epoch before it was probed, so it is the result"
        )
        self.notify(
            f"the greedy texts of epoch {given_up['epoch']} recite training data (--stop-copying "
            f"{self.checked.recipe.stop_copying:g}): {result}"
        )
