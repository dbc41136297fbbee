"""A pair of models whose hyperfitted side is turned to any strength."""

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.pair import Pair, hold_once, load_pair
from hyperfit.models.strength import scale_adapters
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any


class Dial:
    """The base model of a run and what the run made of it; of adapters one model is held, without which it is the base.

    An adapter is turned in place. A model that was trained itself is read from the disk anew for another strength,
    which takes as long as at the start.
    """

    def __init__(self, run: Path, *, device: torch.device, precision: Precision) -> None:
        self.run, self.device, self.precision = run, device, precision
        self.pair = load_pair(RunDir.open(run).recipe.model, str(run), device=device, precision=precision)
        self.strength = 1.0
        self.scales = scales_of(self.pair)
        """Each adapted layer with its scales as they were trained."""

    @property
    def turns(self) -> bool:
        """Whether there is a strength to choose: not with adapters other than plain LoRA."""
        if not isinstance(self.pair.tuned, PeftModel):
            return True
        try:
            scale_adapters(self.pair.tuned, 1.0)
        except UserError:
            return False
        return True

    def at(self, strength: float) -> Pair:
        """The pair at a strength: 0 makes the hyperfitted side the base model, 1 is what was trained."""
        if strength == self.strength:
            return self.pair
        if isinstance(self.pair.tuned, PeftModel):
            for layer, scales in self.scales:
                layer.scaling.update(scales)
            scale_adapters(self.pair.tuned, strength)
        else:
            tuned = load_any(str(self.run), device=self.device, precision=self.precision, strength=strength)
            self.pair = Pair(self.pair.base, tuned)
            hold_once(self.pair)
        self.strength = strength
        return self.pair


def scales_of(pair: Pair) -> list[tuple[Any, dict[str, float]]]:
    """The LoRA layers of the hyperfitted side, each with its scales by adapter."""
    layers: list[Any] = [module for module in pair.tuned.modules() if isinstance(module, LoraLayer)]
    return [(layer, dict(layer.scaling)) for layer in layers]
