"""Diversity: values worked by hand, ranges, and what must not change them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.metrics.text.diversity import (
    TTR_WINDOW,
    distinct_share,
    diversity,
    ngram_repetition,
    ttr_curve,
    type_token_ratio,
    window_types,
)

tokens = st.lists(st.integers(0, 5), max_size=40)
long_enough = st.lists(st.integers(0, 5), min_size=8, max_size=40)
sizes = st.integers(1, 4)


@pytest.mark.parametrize(
    ("text", "window", "ratio"),
    [
        ([1, 2, 3, 4], 4, 1.0),  # four different of four
        ([7, 7, 7, 7], 4, 0.25),  # one of four
        ([1, 2, 1, 3], 4, 0.75),  # 1, 2, 3 of four
        ([9, 9, 9, 1, 2, 1], 3, 2 / 3),  # the last three are 1 2 1
        ([1, 2, 3, 9, 9], 2, 0.5),  # the last two are 9 9
        ([5], 1, 1.0),
    ],
)
def test_type_token_ratio_by_hand(text: list[int], window: int, ratio: float) -> None:
    assert type_token_ratio(text, window) == ratio


def test_window_is_the_last_96_tokens() -> None:
    assert TTR_WINDOW == 96
    # 96 different tokens after a hundred equal ones; and 96 equal ones after a hundred different
    assert type_token_ratio([0] * 100 + list(range(96))) == 1
    assert type_token_ratio(list(range(100)) + [0] * 96) == 1 / 96


@pytest.mark.parametrize("length", [0, 1, 95])
def test_text_below_the_window_is_undefined(length: int) -> None:
    assert math.isnan(type_token_ratio(list(range(length))))
    assert not math.isnan(type_token_ratio(list(range(96))))


@pytest.mark.parametrize(
    ("text", "n", "repetition"),
    [
        ([1, 2, 3], 2, 0.0),  # 12 23
        ([1, 2, 1, 2], 2, 1 / 3),  # 12 21 12: two different of three
        ([1, 1, 1, 1, 1], 2, 0.75),  # 11 four times: one different of four
        ([1, 2, 3, 1, 2, 3], 3, 0.25),  # 123 231 312 123: three different of four
        ([1, 2, 1, 2, 3], 3, 0.0),  # 121 212 123
        ([4, 4, 4], 1, 2 / 3),  # one different of three
        ([1, 2], 2, 0.0),
    ],
)
def test_ngram_repetition_by_hand(text: list[int], n: int, repetition: float) -> None:
    assert ngram_repetition(text, n) == pytest.approx(repetition)


@pytest.mark.parametrize(("text", "n"), [([], 1), ([1], 2), ([1, 2], 3)])
def test_text_shorter_than_an_ngram_is_undefined(text: list[int], n: int) -> None:
    assert math.isnan(ngram_repetition(text, n))


@given(long_enough, sizes)
def test_ranges(text: list[int], n: int) -> None:
    assert 1 / 8 <= type_token_ratio(text, 8) <= 1
    assert 0 <= ngram_repetition(text, n) < 1


@given(long_enough, sizes, st.permutations(range(6)))
def test_names_of_tokens_do_not_matter(text: list[int], n: int, names: list[int]) -> None:
    renamed = [names[token] + 1000 for token in text]
    assert type_token_ratio(renamed, 8) == type_token_ratio(text, 8)
    assert ngram_repetition(renamed, n) == ngram_repetition(text, n)


@given(st.data(), long_enough)
def test_order_inside_the_window_does_not_matter_to_the_type_token_ratio(data: st.DataObject, text: list[int]) -> None:
    shuffled = text[:-8] + data.draw(st.permutations(text[-8:]))
    assert type_token_ratio(shuffled, 8) == type_token_ratio(text, 8)


@given(long_enough, sizes)
def test_text_read_backwards_repeats_as_much(text: list[int], n: int) -> None:
    assert ngram_repetition(text[::-1], n) == ngram_repetition(text, n)


@given(st.data(), long_enough, sizes)
def test_appending_a_repetition_never_lowers_repetition(data: st.DataObject, text: list[int], n: int) -> None:
    # the text goes on as it did after an earlier occurrence of its last n - 1 tokens, so the new n-gram is an old one
    last = text[len(text) - n + 1 :]
    going_on = [text[i + n - 1] for i in range(len(text) - n + 1) if text[i : i + n - 1] == last]
    if going_on:
        longer = [*text, data.draw(st.sampled_from(going_on))]
        assert ngram_repetition(longer, n) >= ngram_repetition(text, n)


@given(tokens.filter(bool), sizes)
def test_a_loop_repeats_ever_more(loop: list[int], n: int) -> None:
    repetitions = [ngram_repetition(loop * times, n) for times in (4, 8, 16)]
    assert repetitions == sorted(repetitions)
    # at most len(loop) different n-grams, however often it goes round
    assert repetitions[-1] >= 1 - len(loop) / (16 * len(loop) - n + 1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ([1, 2, 3, 4], 1.0),
        ([1, 1, 1, 1, 1], 1 / 4 * 1 / 3 * 1 / 2),  # one different of four pairs, of three triples, of two quadruples
        ([1, 2, 1, 2, 1], 2 / 4 * 2 / 3 * 2 / 2),  # 12 21 12 21; 121 212 121; 1212 2121
    ],
)
def test_diversity_by_hand(text: list[int], value: float) -> None:
    assert diversity(text) == pytest.approx(value)


@pytest.mark.parametrize("length", range(4))
def test_diversity_of_a_text_without_a_4_gram_is_undefined(length: int) -> None:
    assert math.isnan(diversity(list(range(length))))


@given(long_enough)
def test_diversity_is_the_product_of_what_does_not_repeat(text: list[int]) -> None:
    assert diversity(text) == pytest.approx(math.prod(1 - ngram_repetition(text, n) for n in (2, 3, 4)))
    assert 0 < diversity(text) <= min(distinct_share(text, n) for n in (2, 3, 4))


@given(tokens, st.integers(1, 12))
def test_types_of_every_window_are_those_of_a_count_of_each(text: list[int], window: int) -> None:
    counted = [len(set(text[start : start + window])) for start in range(len(text) - window + 1)]
    assert window_types(text, window).tolist() == counted


def test_a_window_holds_at_least_one_token() -> None:
    with pytest.raises(ValueError, match="at least 1 token, not 0"):
        window_types([1, 2], 0)


def test_curve_by_hand() -> None:
    text = [1, 2, 3, 4, 1, 1, 2, 2, 5]
    # windows that end after 4, 6 and 8 tokens: 1 2 3 4, 3 4 1 1, 1 1 2 2; the last token begins no step
    assert ttr_curve(text, window=4, step=2) == [(4, 1.0), (6, 0.75), (8, 0.5)]
    assert ttr_curve(text[:3], window=4) == []


@given(long_enough, st.integers(1, 8), st.integers(1, 8))
def test_points_of_the_curve_are_ratios_of_the_text_up_to_there(text: list[int], window: int, step: int) -> None:
    curve = ttr_curve(text, window, step)
    assert [end for end, _ in curve] == list(range(window, len(text) + 1, step))
    assert [ratio for _, ratio in curve] == [type_token_ratio(text[:end], window) for end, _ in curve]
