"""What is one training, and when one that is there serves."""

from dataclasses import replace

from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.store import digest, key_of, looked_at, merged


def test_a_default_named_and_a_default_meant_are_one_training(world: tuple[str, str]) -> None:
    recipe = Recipe(model=world[0], data=world[1])
    assert key_of(recipe) == key_of(replace(recipe, late_blocks=4, order_seed=0, heldout_seed=0, probe_every=5))
    assert key_of(recipe) != key_of(replace(recipe, order_swaps=1))
    assert key_of(recipe) != key_of(replace(recipe, seed=1))


def test_a_setting_that_came_later_leaves_the_keys_of_older_trainings(world: tuple[str, str]) -> None:
    """The key of a recipe all at defaults is that of the few settings that are not."""
    recipe = Recipe(model="builtin:tiny", data="builtin:fiction", late_blocks=2, lr=1e-3)
    assert key_of(recipe) == digest({
        "model": "builtin:tiny", "data": "builtin:fiction", "lr": 1e-3, "method": "lora", "blocks": [10, 11],
        "alpha": 64.0, "heldout_seed": 0, "order_seed": 0,
    })  # fmt: skip
    assert key_of(replace(recipe, unlikelihood=1.0)) != key_of(recipe)


def test_a_training_that_was_looked_at_oftener_serves() -> None:
    often = Recipe(model="m", data="d", probe_every=2, greedy_every=1, probe_texts=12)
    assert looked_at(often, replace(often, probe_every=4, greedy_every=0, probe_texts=3))
    assert not looked_at(often, replace(often, probe_every=3))
    assert not looked_at(often, replace(often, probe_texts=13))
    assert not looked_at(often, replace(often, keep_every=1))
    both = merged(often, replace(often, probe_every=0, keep_every=1, probe_texts=20))
    assert (both.probe_every, both.greedy_every, both.keep_every, both.probe_texts) == (2, 1, 1, 20)
