"""What a training leaves: checkpoints on its way, kept epochs, the result."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor

from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import telling_of_full_disk, writing
from hyperfit.runs.result import Saved, save_result
from hyperfit.training.checks import CheckedRecipe
from hyperfit.training.lines import copying_line
from hyperfit.training.processes.sharding import Sharded, put_together
from hyperfit.training.state import State


@dataclass(frozen=True)
class Saving:
    """Of a training under way. All processes call it; the first writes, of a model that is divided each its part."""

    checked: CheckedRecipe
    run: RunDir
    state: State
    accelerator: Accelerator
    sharded: Sharded | None
    """Around a model that is divided among the processes."""

    @property
    def kind(self) -> str:
        """Name of the result's folder."""
        return "adapter" if isinstance(self.state.model, PeftModel) else "model"

    def checkpoint(self) -> None:
        """Save the place reached and what has been learned."""
        state = self.state
        if self.accelerator.is_main_process:
            self.run.save_checkpoint(state.update, state.place, self.write_state, spared=state.sound)
        elif self.sharded is not None:
            self.write_state(self.run.unfinished_checkpoint(state.update))

    def write_state(self, folder: Path) -> None:
        """Write the state, or this process' part of it, into a folder that the first process has made."""
        if self.sharded is None:
            self.state.write(folder)
            return
        self.accelerator.wait_for_everyone()
        with telling_of_full_disk(folder):
            self.state.write(folder, self.accelerator.process_index, self.accelerator.num_processes)
        self.accelerator.wait_for_everyone()

    def keep(self, loss: float, event: dict[str, Any]) -> None:
        """Leave the model as it stands as a run that was to end after this epoch, whose probe is ``event``."""
        learned = self.learned()
        if not self.accelerator.is_main_process:
            return
        recipe = replace(self.checked.recipe, epochs=self.state.epoch, keep_every=0)
        end = {**self.state.event("end"), "reason": "epochs", "train_loss": round(loss, 6)}
        with self.run.keeping(recipe, end) as folder:
            self.write_result(folder / self.kind, recipe, loss, event, learned)

    def result(self) -> None:
        """Save the result, log the end, and let the checkpoints go."""
        learned = self.learned()
        if not self.accelerator.is_main_process:
            return
        last = self.run.events("epoch")[-1]
        with writing(self.run.path / self.kind) as aside:
            self.write_result(aside, self.checked.recipe, last["train_loss"], last, learned)
        self.run.append({**self.state.event("end"), "reason": self.state.reason, "train_loss": last["train_loss"]})
        self.run.discard_checkpoints()

    def learned(self) -> dict[str, Tensor] | None:
        """What has learnt of a model that is divided, whole in the first process; None where each holds all of it."""
        if self.sharded is None:
            return None
        return put_together(self.state.learned, main=self.accelerator.is_main_process)

    def write_result(
        self, folder: Path, recipe: Recipe, loss: float, event: dict[str, Any], learned: dict[str, Tensor] | None
    ) -> None:
        """Write adapter or model, with its card, after an epoch whose loss and probe are given."""
        tokens: Saved = self.checked.palette or self.checked.tokenizer
        chats = self.checked.corpus.chats
        save_result(self.state.model, folder, recipe, tokens, loss, self.copied(event), learned, chats=chats)

    def copied(self, event: dict[str, Any]) -> str:
        """What of the training data stands in the texts of a probe; "" where none were written."""
        return copying_line(event, min(self.checked.recipe.probe_texts, len(self.checked.corpus.validation)))
