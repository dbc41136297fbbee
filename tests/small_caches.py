"""Small prefix caches, for the tests of what they hold and of how they are read."""

from pathlib import Path
from typing import Any

from torch import Tensor

from hyperfit.models.adapt import adapt
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.recipes.recipe import Recipe
from tiny_models import random_ids, tiny_model

SEQUENCES = random_ids(6, 16, seed=2)


def adapted(seed: int = 0, late_blocks: int = 2, family: str = "llama", **changes: Any) -> Any:
    """A tiny model whose last blocks have adapters."""
    return adapt(
        tiny_model(family, seed=seed, **changes), Recipe(model="-", data="-", rank=4, late_blocks=late_blocks)
    ).eval()


def cached(folder: Path, sequences: Tensor = SEQUENCES, said: list[str] | None = None, **changes: Any) -> PrefixCache:
    """The cache of such a model, attached to it. changes: of the model, batch_size and precision of the cache."""
    notify = (said if said is not None else []).append
    batch_size = changes.pop("batch_size", 4)
    precision = changes.pop("precision", "fp32")
    return cache_prefix(
        adapted(**changes), sequences, folder, batch_size=batch_size, precision=precision, notify=notify
    )
