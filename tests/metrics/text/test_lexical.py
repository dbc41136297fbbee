"""MATTR, MTLD and HD-D: by hand, against lexicalrichness and scipy, and plain slow versions."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lexicalrichness import LexicalRichness
from scipy.stats import hypergeom

from hyperfit.metrics.text.lexical import HDD_DRAWS, MATTR_WINDOW, hdd, mattr, mtld

texts = st.lists(st.integers(0, 20), min_size=60, max_size=150)
short_texts = st.lists(st.integers(0, 5), max_size=30)


def trusted(text: list[int]) -> LexicalRichness:
    return LexicalRichness(text, preprocessor=None, tokenizer=None)


def factors_one_by_one(text: list[int], threshold: float) -> float:
    """Cut off the shortest beginning whose ratio is at most the threshold, as often as there is one."""
    for length in range(1, len(text) + 1):
        ratio = len(set(text[:length])) / length
        if ratio <= threshold:
            return 1 + factors_one_by_one(text[length:], threshold)
    return (1 - len(set(text)) / len(text)) / (1 - threshold) if text else 0.0


def test_mattr_by_hand() -> None:
    # 1 2 1: two of three; 2 1 1: two; 1 1 1: one
    assert mattr([1, 2, 1, 1, 1], window=3) == pytest.approx((2 + 2 + 1) / 9)
    assert mattr([4] * 200) == 1 / MATTR_WINDOW
    assert mattr(list(range(200))) == 1


def test_mtld_by_hand() -> None:
    # 7 7 is a factor (1/2); three of them, each two tokens long
    assert mtld([7] * 6) == 2
    # forwards 1 2 3 1: 3/4 is above .72, and .25 / .28 of a factor; backwards the same
    assert mtld([1, 2, 3, 1]) == pytest.approx(4 / (0.25 / 0.28))
    # forwards 1 1 | 2 3: a factor and nothing; backwards 3 2 1 1: 3/4
    assert mtld([1, 1, 2, 3]) == pytest.approx((4 / 1 + 4 / (0.25 / 0.28)) / 2)


def test_a_ratio_of_just_the_threshold_completes_a_factor() -> None:
    # 18 different of 25 are .72
    assert mtld([*range(18), *range(7)] * 2) == 25


def test_hdd_by_hand() -> None:
    # of a a b two are drawn: a is always among them, b with 2/3
    assert hdd([1, 1, 2], draws=2) == pytest.approx((1 + 2 / 3) / 2)
    assert hdd([1, 2, 3], draws=1) == pytest.approx(1)
    assert hdd([5] * 100) == pytest.approx(1 / HDD_DRAWS)
    assert hdd(list(range(100))) == pytest.approx(1)


def test_undefined() -> None:
    assert math.isnan(mattr([1] * (MATTR_WINDOW - 1)))
    assert math.isnan(hdd([1] * (HDD_DRAWS - 1)))
    assert math.isnan(mtld([]))
    assert math.isnan(mtld([1, 2, 3]))  # no token repeats: no factor, not even a part of one


@given(texts)
def test_agrees_with_lexicalrichness(text: list[int]) -> None:
    assert mattr(text) == pytest.approx(trusted(text).mattr(MATTR_WINDOW))
    assert mtld(text) == pytest.approx(trusted(text).mtld())
    assert hdd(text) == pytest.approx(trusted(text).hdd())


@given(texts, st.integers(1, 60))
def test_hdd_agrees_with_scipy(text: list[int], draws: int) -> None:
    drawn = [hypergeom(len(text), text.count(token), draws).sf(0) for token in set(text)]
    assert hdd(text, draws) == pytest.approx(sum(drawn) / draws)


@given(short_texts, st.sampled_from([0.5, 0.66, 0.72, 0.9]))
def test_mtld_agrees_with_factors_cut_off_one_by_one(text: list[int], threshold: float) -> None:
    if len(set(text)) == len(text):
        assert math.isnan(mtld(text, threshold))
    else:
        there, back = factors_one_by_one(text, threshold), factors_one_by_one(text[::-1], threshold)
        assert mtld(text, threshold) == pytest.approx((len(text) / there + len(text) / back) / 2)


@given(texts)
def test_ranges(text: list[int]) -> None:
    assert 1 / MATTR_WINDOW <= mattr(text) <= 1
    assert mtld(text) >= 2
    assert 1 / HDD_DRAWS - 1e-12 <= hdd(text) <= 1 + 1e-12


@given(st.data(), texts)
def test_order_does_not_matter_to_hdd_nor_direction_to_the_others(data: st.DataObject, text: list[int]) -> None:
    assert hdd(data.draw(st.permutations(text))) == pytest.approx(hdd(text))
    assert mattr(text[::-1]) == pytest.approx(mattr(text))
    assert mtld(text[::-1]) == pytest.approx(mtld(text))


@given(texts)
def test_names_of_tokens_do_not_matter(text: list[int]) -> None:
    renamed = [7 * token + 1000 for token in text]
    assert (mattr(renamed), mtld(renamed)) == (mattr(text), mtld(text))
    assert hdd(renamed) == pytest.approx(hdd(text))


@given(texts)
def test_the_last_token_said_over_and_over_lowers_all(text: list[int]) -> None:
    going_on = [text + [text[-1]] * times for times in (60, 120, 240)]
    for measure in (mattr, mtld, hdd):
        values = [measure(longer) for longer in going_on]
        assert values == sorted(values, reverse=True)
