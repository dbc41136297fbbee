"""A base model and the model made from it, side by side, without holding twice what they share."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.models.loading import load_config, load_model
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of, under
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.result import load_any, parts_of

Side = Literal["base", "tuned"]
SIDES: tuple[Side, Side] = ("base", "tuned")


@dataclass(frozen=True)
class Pair:
    """Two models of one shape and vocabulary, in evaluation mode on one device."""

    base: PreTrainedModel | None
    """None where the tuned model is an adapter: without it, that model is the base."""
    tuned: PreTrainedModel | PeftModel

    @contextmanager
    def side(self, which: Side) -> Iterator[PreTrainedModel | PeftModel]:
        """The model of one side. Use it only inside the block: both sides may be one object."""
        if which == "tuned":
            yield self.tuned
        elif self.base is not None:
            yield self.base
        else:
            assert isinstance(self.tuned, PeftModel)
            with self.tuned.disable_adapter():
                yield self.tuned

    @property
    def depth(self) -> int:
        """Blocks of each model."""
        return len(blocks_of(inner_model(self.tuned)))

    @property
    def shared_blocks(self) -> int:
        """How many blocks, from the first, have the same input and output in both models; from 0 to depth."""
        layout, first = layout_of(inner_model(self.tuned)), self.depth
        for name in differing(self):
            if (block := layout.block_of(name)) is not None:
                first = min(first, block)
            elif not under(name, layout.above(self.depth)):
                return 0
        return first


def differing(pair: Pair) -> list[str]:
    """Names of modules in which the sides differ: those with an adapter, or with a parameter that is not equal."""
    tuned = inner_model(pair.tuned)
    if pair.base is None:
        return [name for name, module in tuned.named_modules() if _adapts(module)]
    others = dict(tuned.named_parameters())
    return [name for name, parameter in pair.base.named_parameters() if not torch.equal(parameter, others[name])]


def _adapts(module: nn.Module) -> bool:
    return isinstance(module, (BaseTunerLayer, ModulesToSaveWrapper))


def load_pair(base: str, tuned: str, *, device: torch.device, precision: Precision = "fp32") -> Pair:
    """Load both sides: folders, hub ids, builtin:NAME; ``tuned`` may also be a run or an adapter.

    An adapter that was made for ``base`` is loaded once. precision: fp32, or bf16 for use under autocast. Raises
    UserError if the two are not models of one shape.
    """
    of, adapter = parts_of(tuned)
    if adapter is not None and of == base:
        return Pair(None, load_any(tuned, device=device, precision=precision))
    one, other = (load_config(name).get_text_config(decoder=True) for name in (base, of))
    names = ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")
    unlike = [name for name in names if getattr(one, name) != getattr(other, name)]
    if unlike:
        said = ", ".join(f"{name} {getattr(one, name)} and {getattr(other, name)}" for name in unlike)
        raise UserError(
            f"--tuned {tuned}: not made from {base}: {said}; give the model that it was trained from as --base"
        )
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    pair = Pair(load_model(base, device=device, dtype=dtype), load_any(tuned, device=device, precision=precision))
    hold_once(pair)
    return pair


def hold_once(pair: Pair) -> None:
    """Let both sides have one copy of each parameter that is equal in them, as all below the late blocks may be."""
    others = dict(pair.base.named_parameters()) if pair.base is not None else {}
    for name, parameter in pair.tuned.named_parameters():
        other = others.get(name)
        if other is not None and other.dtype == parameter.dtype and torch.equal(other, parameter):
            parameter.data = other.data
