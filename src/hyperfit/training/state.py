"""Everything that changes while training, as one object that saves and loads."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.runs.directory import Checkpoint

CHOICES = "probe/choices"


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

    def write(self, folder: Path) -> None:
        """Save parameters, optimiser and the last probe's choices as safetensors."""
        tensors = {f"parameter/{name}": p.detach() for name, p in self.learned.items()}
        if self.choices is not None:
            tensors[CHOICES] = self.choices
        for name, p in self.learned.items():
            for key, value in self.optimizer.state.get(p, {}).items():
                tensors[f"optimizer/{name}/{key}"] = value
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / "state.safetensors")

    def read(self, checkpoint: Checkpoint) -> None:
        """Load what write saved, in place."""
        tensors = load_file(checkpoint.path / "state.safetensors")
        self.choices = tensors.pop(CHOICES, None)
        moments: dict[str, dict[str, Tensor]] = {name: {} for name in self.learned}
        with torch.no_grad():
            for name, tensor in tensors.items():
                kind, _, rest = name.partition("/")
                if kind == "parameter":
                    self.learned[rest].copy_(tensor)
                else:
                    parameter, _, key = rest.rpartition("/")
                    moments[parameter][key] = tensor
        for name, p in self.learned.items():
            if moments[name]:
                # Adam keeps its step count on the CPU whatever the device
                self.optimizer.state[p] = {k: t if k == "step" else t.to(p.device) for k, t in moments[name].items()}
        for name in self.place:
            setattr(self, name, checkpoint.place.get(name, getattr(self, name)))
