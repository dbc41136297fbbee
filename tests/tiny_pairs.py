"""Pairs of tiny models for the tests of the mechanism: an adapter on a base, or two whole models."""

import torch

from hyperfit.mechanism.pair.pair import Pair
from hyperfit.models.adapt import adapt
from hyperfit.recipes.recipe import Recipe
from tiny_models import tiny_model


def adapter_pair(family: str = "llama", late_blocks: int = 2, *, size: float = 0.1, **changes: object) -> Pair:
    """A tiny model with a random LoRA in its last blocks."""
    model = adapt(tiny_model(family, **changes), Recipe(model="-", data="-", rank=4, late_blocks=late_blocks))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, size, generator=generator)
    model.requires_grad_(False).eval()
    return Pair(None, model)


def whole_pair(family: str = "llama", **changes: object) -> Pair:
    """Two tiny models that differ in everything a little."""
    base, tuned = tiny_model(family, **changes), tiny_model(family, **changes)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in tuned.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
    return Pair(base, tuned)


def same_pair(family: str = "llama") -> Pair:
    """A model and its twin."""
    return Pair(tiny_model(family), tiny_model(family))
