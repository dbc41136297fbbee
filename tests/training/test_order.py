"""The order of the sequences, and what is held out, apart from which are chosen."""

from dataclasses import replace
from itertools import chain

import pytest

from hyperfit.data.split import split_documents
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.loop import epoch_order
from small_runs import recipe_for

COUNT = 20


def order(recipe: Recipe, epoch: int = 0) -> list[int]:
    return list(chain.from_iterable(epoch_order(recipe, epoch, COUNT, 1)))


@pytest.fixture
def recipe() -> Recipe:
    return Recipe(model="m", data="d", seed=3, batch_size=4)


def test_another_order_is_of_the_same_sequences(recipe: Recipe) -> None:
    for epoch in (0, 1):
        other = order(replace(recipe, order_seed=4), epoch)
        assert sorted(other) == sorted(order(recipe, epoch)) == list(range(COUNT))
        assert other != order(recipe, epoch)
        assert other == order(replace(recipe, seed=4), epoch), "as that seed orders them"
        assert order(replace(recipe, order_seed=3), epoch) == order(recipe, epoch)


@pytest.mark.parametrize("swaps", [0, 1, 3])
def test_so_many_pairs_change_places_in_the_first_epoch_alone(recipe: Recipe, swaps: int) -> None:
    swapped = replace(recipe, order_swaps=swaps)
    moved = [
        place for place, (one, other) in enumerate(zip(order(recipe), order(swapped), strict=True)) if one != other
    ]
    assert len(moved) == 2 * swaps
    assert sorted(order(swapped)) == list(range(COUNT))
    assert order(swapped, 1) == order(recipe, 1)


def test_what_is_held_out_stays_while_the_seed_varies(world: tuple[str, str]) -> None:
    def held(seed: int, heldout_seed: int | None) -> set[str]:
        recipe = recipe_for(world, seed=seed, heldout_seed=heldout_seed, heldout=0.3)
        return {document.text for document in split_documents(recipe).heldout}

    assert held(0, 7) == held(1, 7) == held(7, None)
    assert len({frozenset(held(seed, None)) for seed in range(6)}) > 1
