"""How many parameters a run's model has: one number, wherever it is told."""

from collections.abc import Mapping
from typing import Any

from hyperfit.recipes.recipe import Recipe


def own_parameters(recipe: Recipe, environment: Mapping[str, Any]) -> int:
    """The base model's own parameters, each counted once (tied ones, too), without adapters.

    environment: as environment.json holds it, whose ``parameters`` are those that the training held.
    """
    added = environment["trainable_parameters"] if recipe.adapters else 0
    return int(environment["parameters"] - added)
