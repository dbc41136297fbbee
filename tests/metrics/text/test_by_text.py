"""The table of measures of one text: each is there, pure, and undefined, not 0, on a text of nothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.metrics.text.by_text import SHARES, TEXT_MEASURES

texts = st.lists(st.integers(0, 30), min_size=100, max_size=160)


@pytest.mark.parametrize("name", TEXT_MEASURES)
def test_nothing_has_no_value(name: str) -> None:
    assert math.isnan(TEXT_MEASURES[name]([]))


@given(texts)
def test_a_measure_leaves_the_text_alone_and_answers_the_same_again(text: list[int]) -> None:
    before = list(text)
    values = {name: measure(text) for name, measure in TEXT_MEASURES.items()}
    assert text == before
    assert {name: measure(tuple(text)) for name, measure in TEXT_MEASURES.items()} == pytest.approx(values, nan_ok=True)
    assert all(values[name] in (0, 1) for name in SHARES)


def test_a_loop_shows_in_every_measure() -> None:
    fresh, looping = list(range(100)) + list(range(50)), list(range(10)) * 15
    one, other = ({name: measure(text) for name, measure in TEXT_MEASURES.items()} for text in (fresh, looping))
    for name in ("ttr", "diversity", "mattr", "mtld", "hdd"):
        assert one[name] > other[name]
    for name in ("bigram_repetition", "trigram_repetition", "loop_share"):
        assert one[name] < other[name]
    assert (other["loop_period"], other["loop_onset"]) == (10, 0)
