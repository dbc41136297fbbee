"""Everything that changes while training, as one object that saves and loads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.runs.directory import Checkpoint
from hyperfit.training.processes.pieces import Pieces, opened, piece_name
from hyperfit.training.processes.sharding import own_rows

CHOICES = "probe/choices"
STEP, MOMENTS = "step", ("exp_avg", "exp_avg_sq")
"""What Adam keeps of every parameter."""


@dataclass
class State:
    """The trained parameters, the optimiser, and the place reached.

    There is no random state: dropout is off, and the order of an epoch follows from the seed and its number.
    """

    model: PreTrainedModel | PeftModel
    optimizer: torch.optim.Optimizer
    epoch: int = 0
    """Epochs completed."""
    batch: int = 0
    """Updates done in the epoch under way."""
    update: int = 0
    """Updates done in all."""
    loss_sum: float = 0.0
    """Sum over the tokens of the epoch under way, nats."""
    tokens: int = 0
    """Predicted tokens of the epoch under way."""
    seconds: float = 0.0
    """Spent in the epoch under way before the checkpoint."""
    reason: str | None = None
    """Why training ended, once it has: loss, epochs or copying."""
    sound: int | None = None
    """Updates before the newest checkpoint whose greedy texts were probed and do not recite."""
    choices: Tensor | None = None
    """int32[sequences, length - 1]: likeliest tokens on held-out sequences at the last probe."""
    learned: dict[str, nn.Parameter] = field(init=False)
    """The parameters that learn, by name."""

    def __post_init__(self) -> None:
        self.learned = {name: p for name, p in self.model.named_parameters() if p.requires_grad}

    @property
    def place(self) -> dict[str, Any]:
        """The part that goes into JSON; floats come back exactly."""
        names = ("epoch", "batch", "update", "loss_sum", "tokens", "seconds", "reason", "sound")
        return {name: getattr(self, name) for name in names}

    def event(self, name: str) -> dict[str, Any]:
        """An event of the log with the place reached."""
        return {"event": name, "epoch": self.epoch, "step": self.update}

    def write(self, folder: Path, process: int = 0, processes: int = 1) -> None:
        """Save parameters, optimiser and the last probe's choices as safetensors.

        processes: how many write into the folder, each what it holds of a model that is divided.
        """
        tensors = {f"parameter/{name}": own_rows(p.detach()) for name, p in self.learned.items()}
        if self.choices is not None and process == 0:
            tensors[CHOICES] = self.choices
        for name, p in self.learned.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"optimizer/{name}/{key}"] = own_rows(value)
        file = folder / piece_name(process, processes)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)

    def read(self, checkpoint: Checkpoint) -> None:
        """Load what write saved, in place; however many processes wrote it, and whether or not this one holds all."""
        with opened(checkpoint.path) as saved:
            self.choices = saved.whole(CHOICES) if CHOICES in saved.names else None
            for name, p in self.learned.items():
                saved.read_into(f"parameter/{name}", p)
                if f"optimizer/{name}/{STEP}" in saved.names:
                    self.optimizer.state[p] = self.moments_of(saved, name, p)
        for name in self.place:
            setattr(self, name, checkpoint.place.get(name, getattr(self, name)))

    def moments_of(self, saved: Pieces, name: str, p: nn.Parameter) -> dict[str, Tensor]:
        """What Adam keeps of a parameter; its step count on the CPU whatever the device, unless it is the fused one."""
        device = p.device if self.optimizer.defaults.get("fused") else "cpu"
        found = {STEP: saved.whole(f"optimizer/{name}/{STEP}").to(device)}
        for key in MOMENTS:
            found[key] = torch.zeros_like(p)
            saved.read_into(f"optimizer/{name}/{key}", found[key])
        return found
