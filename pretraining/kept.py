"""What a pre-training keeps in its folder: the checkpoint that it goes on from, and the log of its loss."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

EVERY_MINUTES = 5.0
"""Between checkpoints."""


def open_run(run: Path, *, resume: bool) -> None:
    """Make the folder. Ends the program unless it holds a checkpoint exactly where one is to be gone on from."""
    if resume != (run / "state.pt").exists():
        raise SystemExit(f"{run}: {'has no checkpoint' if resume else 'holds a run; give --resume or another folder'}")
    run.mkdir(parents=True, exist_ok=True)


@dataclass
class Kept:
    """The state of a run under way, in its folder."""

    run: Path
    settings: dict[str, Any]
    longer: str
    """The setting that may grow when a run is gone on with."""
    model: nn.Module
    optimizers: list[torch.optim.Optimizer]
    minutes: float = EVERY_MINUTES
    saved_at: float = field(default_factory=time.monotonic)

    def restore(self, device: str) -> tuple[Any, ...]:
        """Load the checkpoint and give the place it was saved with. Ends the program if it is of another run."""
        state = torch.load(self.run / "state.pt", map_location=device, weights_only=True)
        was = {**state["settings"], self.longer: self.settings[self.longer]}
        if was != self.settings:
            raise SystemExit(f"--resume: this run was made with {was}, not {self.settings}")
        self.model.load_state_dict(state["model"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        return tuple(state["place"])

    def save(self, place: tuple[Any, ...]) -> None:
        """Write a checkpoint beside and rename it, so that a kill leaves the old one or the new one, whole."""
        state = {
            "settings": self.settings,
            "model": self.model.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "place": place,
        }
        aside = self.run / "state.part"
        torch.save(state, aside)
        aside.replace(self.run / "state.pt")
        self.saved_at = time.monotonic()

    def save_now_and_then(self, place: tuple[Any, ...]) -> None:
        """Write a checkpoint if the last one is some minutes old."""
        if time.monotonic() - self.saved_at > 60 * self.minutes:
            self.save(place)


class Log:
    """RUN/log.jsonl, a line now and then; of a run that is gone on with, without what came after its checkpoint."""

    def __init__(self, run: Path, update: int) -> None:
        file = run / "log.jsonl"
        lines = file.read_text().splitlines() if update and file.exists() else []
        self.file = file.open("w")
        self.file.writelines(line + "\n" for line in lines if json.loads(line)["update"] <= update)

    def add(self, entry: dict[str, Any]) -> None:
        """Add a line, and print it."""
        print(entry, flush=True)
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()
