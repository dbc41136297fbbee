"""A model set up to train, of tensors that have shapes and no values: whatever its size, it takes no memory."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedModel

from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.skeleton import give_places, skeleton
from hyperfit.models.structure.experts import compute_apart
from hyperfit.models.structure.layout import inner_model, layout_of, under
from hyperfit.planning.quantized import bytes_saved
from hyperfit.prefix.bypass import Bypass, frozen_blocks, obstacle
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Stage:
    """A model as training has it, without values."""

    model: PreTrainedModel | PeftModel
    fake: FakeTensorMode
    """Under which its tensors live."""
    frozen: int
    """Blocks below the first that learns, whose output a prefix cache holds; 0 where there can be none."""
    no_cache: str | None
    """Why there is none."""
    saved: int
    """Bytes that its weights take less than these plain ones, as they are quantized; 0 where they are not."""
    written_out: int
    """Bytes of the largest matrix that is quantized, as it is written out for a product; 0 without any."""

    @property
    def inner(self) -> PreTrainedModel:
        """The model without what adapts it."""
        return inner_model(self.model)

    @property
    def learned(self) -> list[nn.Parameter]:
        """The parameters that learn."""
        return [one for one in self.model.parameters() if one.requires_grad]

    @property
    def held(self) -> list[Tensor]:
        """All tensors that are in memory before training begins."""
        return [*self.model.parameters(), *self.model.buffers()]

    @property
    def states(self) -> int:
        """Bytes of a token in the prefix cache; 0 without one."""
        return math.prod(layout_of(self.inner).states) * self.inner.dtype.itemsize if self.frozen else 0

    def bypass(self, batch: int, length: int) -> None:
        """From now on states of the cache stand for the frozen blocks' output, float[batch, length, ...]."""
        if self.frozen:
            stored = torch.zeros(batch, length, *layout_of(self.inner).states, dtype=self.inner.dtype)
            Bypass(self.model, self.frozen).hidden = stored


def set_stage(config: Any, recipe: Recipe) -> Stage:
    """The model of a config, adapted as a recipe says and held as training holds it (``hyperfit.training.setup``).

    recipe: with nothing left open, precision included.
    """
    bf16 = recipe.precision == "bf16"
    model = skeleton(config, torch.bfloat16 if bf16 and recipe.adapters else torch.float32, torch.device("cpu"))
    layout_of(model)  # while the model is still as it was built
    saved, written_out = bytes_saved(model, config)
    adapted = adapt(model, recipe).eval()
    if bf16 and not recipe.adapters:
        round_frozen(adapted)
    compute_apart(inner_model(adapted), recipe.batch_size * recipe.length)
    frozen = frozen_blocks(adapted)
    no_cache = obstacle(adapted, frozen)
    frozen = 0 if no_cache else frozen
    fake = FakeTensorMode()
    give_shapes(adapted, fake)
    return Stage(adapted, fake, frozen, no_cache, saved, written_out)


def absent(model: PreTrainedModel | PeftModel, frozen: int) -> set[nn.Parameter]:
    """The parameters that ``--streaming`` does not hold: frozen blocks, and the embedding unless the head shares it."""
    inner = inner_model(model)
    layout = layout_of(inner)
    blocks = tuple(f"{layout.blocks}.{place}" for place in range(frozen))
    if not frozen:
        return set()
    gone = {one for name, one in inner.named_parameters() if under(name, (*blocks, layout.embedding))}
    return gone - set(inner.get_submodule(layout.head).parameters())


def give_shapes(model: nn.Module, fake: FakeTensorMode) -> None:
    """Put a tensor of the CPU without values where the model has one on the meta device; shared ones stay shared."""
    with fake:
        give_places(model)
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, fake.from_tensor(buffer))
