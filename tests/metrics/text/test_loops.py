"""Loops at the end of a text: by hand, against a count of every tail, and planted."""

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hyperfit.metrics.text.loops import Loop, ending_loop, ends_in_loop, loop_onset, loop_period, tail_matches

two_letters = st.lists(st.integers(0, 1), max_size=40)
few_letters = st.lists(st.integers(0, 3), max_size=40)


def loop_by_definition(text: list[int], rounds: int, least: int) -> Loop | None:
    """Every tail, longest first, and every period, smallest first."""
    for onset in range(len(text)):
        tail = text[onset:]
        for period in range(1, len(tail)):
            if len(tail) >= max(rounds * period, least) and tail[period:] == tail[:-period]:
                return Loop(onset, period)
    return None


@pytest.mark.parametrize(
    ("text", "loop"),
    [
        ([1, 2, 3, *[7] * 12], Loop(3, 1)),
        ([1, 2, 3, *[7] * 11], None),  # 11 tokens
        ([9, *[1, 2, 3, 4] * 3], Loop(1, 4)),
        ([9, *[1, 2, 3, 4] * 3, 1, 2], Loop(1, 4)),  # the last round may be cut
        ([9, 4, *[1, 2, 3, 4] * 3], Loop(1, 4)),  # and so may the first
        ([*[1, 2, 3, 4] * 3, 9], None),  # it got out of the loop
        ([*range(20), *range(20), *range(19)], None),  # two rounds and a part of the third
        ([*range(20)] * 3, Loop(0, 20)),
        ([0, *[*range(1, 6), *[7] * 15] * 3], Loop(1, 20)),  # a round that ends in a run of 7 is told whole
        ([], None),
    ],
)
def test_by_hand(text: list[int], loop: Loop | None) -> None:
    assert ending_loop(text) == loop
    hit = ends_in_loop(text)
    assert math.isnan(hit) if len(text) < 12 else hit == (loop is not None)
    if loop:
        assert (loop_onset(text), loop_period(text)) == (loop.onset, loop.period)
    else:
        assert math.isnan(loop_onset(text))
        assert math.isnan(loop_period(text))


def test_one_round_is_no_loop() -> None:
    with pytest.raises(ValueError, match="at least 2 rounds, not 1"):
        ending_loop([1, 2], rounds=1)


@given(two_letters | few_letters, st.integers(2, 4), st.integers(0, 14))
def test_agrees_with_its_definition(text: list[int], rounds: int, least: int) -> None:
    assert ending_loop(text, rounds, least) == loop_by_definition(text, rounds, least)


@given(two_letters | few_letters)
def test_tail_matches_are_those_counted_one_by_one(text: list[int]) -> None:
    def count(period: int) -> int:
        same = 0
        while same + period < len(text) and text[-1 - same] == text[-1 - same - period]:
            same += 1
        return same

    assert tail_matches(text) == [len(text), *(count(period) for period in range(1, len(text)))][: len(text)]


@given(few_letters, st.lists(st.integers(4, 9), min_size=1, max_size=8, unique=True), st.integers(3, 6))
def test_planted_loop_is_found(before: list[int], turn: list[int], times: int) -> None:
    assume(len(turn) * times >= 12)
    # all tokens of a round differ from each other and from those before it
    assert ending_loop(before + turn * times) == Loop(len(before), len(turn))


@given(few_letters, st.lists(st.integers(4, 9), min_size=1, max_size=8, unique=True), st.integers(12, 20))
def test_a_loop_that_goes_on_stays_the_same_loop(before: list[int], turn: list[int], times: int) -> None:
    assert ending_loop(before + turn * times + turn[:1]) == ending_loop(before + turn * times)
    assert ending_loop([*before, *turn * times, 99]) is None
