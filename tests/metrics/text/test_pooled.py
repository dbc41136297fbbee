"""Measures of texts taken together: by hand, and their jackknife by leaving texts out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t

from hyperfit.metrics.text.compression import compression_ratio
from hyperfit.metrics.text.diversity import distinct_share
from hyperfit.metrics.text.pooled import compression, distinct_ngrams, jackknife

texts_of_few_tokens = st.lists(st.lists(st.integers(0, 5), max_size=12), min_size=1, max_size=6)
sizes = st.integers(1, 4)


def pooled(texts: list[list[int]], n: int) -> float:
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams) if grams else math.nan


def test_distinct_ngrams_by_hand() -> None:
    # 12 23, 23 34, 12: three different of five
    found = distinct_ngrams([[1, 2, 3], [2, 3, 4], [1, 2], [9]], 2)
    assert found.value == 3 / 5
    assert found.n == 3  # 9 has no bigram
    assert found.low < found.value < found.high <= 1


def test_texts_without_ngrams_are_undefined() -> None:
    assert math.isnan(distinct_ngrams([[1], []], 2).value)
    assert distinct_ngrams([[1], []], 2).n == 0
    one = distinct_ngrams([[1, 1, 2], []], 1)
    assert (one.value, one.n) == (2 / 3, 1)
    assert math.isnan(one.low)


@given(texts_of_few_tokens, sizes)
def test_distinct_ngrams_and_their_interval_by_leaving_out(texts: list[list[int]], n: int) -> None:
    found = distinct_ngrams(texts, n)
    there = [text for text in texts if len(text) >= n]
    assert found.value == pytest.approx(pooled(texts, n), nan_ok=True)
    assert found.n == len(there)
    if len(there) > 1:
        rest = [pooled(there[:i] + there[i + 1 :], n) for i in range(len(there))]
        error = math.sqrt((len(rest) - 1) / len(rest) * sum((value - sum(rest) / len(rest)) ** 2 for value in rest))
        reach = t.ppf(0.975, len(rest) - 1) * error
        assert (found.low, found.high) == pytest.approx((max(found.value - reach, 0), min(found.value + reach, 1)))


@given(st.lists(st.integers(0, 5), min_size=4, max_size=20), sizes)
def test_one_text_is_what_its_own_share_is(text: list[int], n: int) -> None:
    assert distinct_ngrams([text], n).value == distinct_share(text, n)


@given(st.data(), texts_of_few_tokens, sizes)
def test_order_of_texts_does_not_matter(data: st.DataObject, texts: list[list[int]], n: int) -> None:
    shuffled, plain = distinct_ngrams(data.draw(st.permutations(texts)), n), distinct_ngrams(texts, n)
    for one, other in zip(shuffled.to_dict().values(), plain.to_dict().values(), strict=True):
        assert one == pytest.approx(other)


@given(texts_of_few_tokens, sizes)
def test_saying_all_texts_again_halves_it(texts: list[list[int]], n: int) -> None:
    assert distinct_ngrams(texts * 2, n).value == pytest.approx(distinct_ngrams(texts, n).value / 2, nan_ok=True)


def test_jackknife_of_a_mean_is_students_interval() -> None:
    data = np.random.default_rng(0).normal(5, 1, 30)
    found = jackknife(data.mean(), [np.delete(data, i).mean() for i in range(30)], 30)
    low, high = t.interval(0.95, 29, data.mean(), data.std(ddof=1) / math.sqrt(30))
    assert (found.low, found.high, found.n) == (pytest.approx(low), pytest.approx(high), 30)


def test_jackknife_of_the_undefined_is_undefined() -> None:
    found = jackknife(0.5, [0.5, math.nan], 2, highest=1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_compression_of_many_texts() -> None:
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdefghij "), length)) for length in rng.integers(50, 150, 60)]
    found = compression(texts)
    assert found.value == compression_ratio(texts)
    assert found.low < found.value < found.high
    assert found.n == 60
    # what stands twice is written once
    assert compression(texts * 2).value > found.high


def test_compression_of_few_texts() -> None:
    assert math.isnan(compression([]).value)
    one = compression(["some text"])
    assert one.value == compression_ratio("some text")
    assert math.isnan(one.low)
    assert one.n == 1
