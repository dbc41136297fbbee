"""Who judges what, on which side, in which order."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from hyperfit.prefer.assignment import Candidate, due, next_item, swapped


def test_new_contexts_first_then_what_fewest_have_judged_then_rare_conditions() -> None:
    draw = random.Random(0)
    pair, other = ("a", "human"), ("b", "human")
    items = [
        Candidate("seen", "c1", pair, 0),
        Candidate("often", "c2", pair, 2),
        Candidate("usual", "c3", pair, 1),
        Candidate("rare", "c4", other, 1),
    ]
    contexts, conditions = {"c1": 1}, {pair: 3, other: 2}
    order = []
    while items:
        found = next_item(items, contexts, conditions, draw)
        order.append(found.id)
        items.remove(found)
    assert order == ["rare", "usual", "often", "seen"]


def test_a_draw_among_equals_is_the_annotators_own() -> None:
    items = [Candidate(str(number), str(number), ("a", "b"), 0) for number in range(20)]
    found = {next_item(items, {}, {}, random.Random(seed)).id for seed in range(30)}
    assert len(found) > 10
    assert next_item(items, {}, {}, random.Random(1)) == next_item(items[::-1], {}, {}, random.Random(1))


@given(st.integers(0, 10**6), st.lists(st.integers(0, 3), max_size=60))
def test_sides_are_balanced_for_each_annotator_and_two_conditions(seed: int, order: list[int]) -> None:
    draw = random.Random(seed)
    count = {pair: Counter[bool]() for pair in range(4)}
    for pair in order:
        own = count[pair]
        own[swapped((own[False], own[True]), (draw.randrange(3), draw.randrange(3)), draw)] += 1
        assert abs(own[False] - own[True]) <= 1


@given(st.integers(0, 10**6))
def test_sides_of_an_item_are_balanced_where_the_annotator_leaves_it_open(seed: int) -> None:
    draw, item = random.Random(seed), Counter[bool]()
    for _ in range(10):
        item[swapped((2, 2), (item[False], item[True]), draw)] += 1
    assert item[False] == item[True] == 5


@given(st.integers(0, 8), st.integers(1, 200), st.text(max_size=5))
def test_further_pairs_are_spread_over_the_quota(count: int, quota: int, seed: str) -> None:
    for late in (False, True):
        places = due(count, quota, seed, late=late)
        assert len(places) == count
        assert places == sorted(places)
        assert all((quota // 2 if late else 0) <= place <= quota for place in places)
    assert due(count, quota, seed) == due(count, quota, seed)
