"""Estimates: the mean is numpy's, the interval that of a bootstrap written out, and undefined stays undefined."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfit.metrics.estimate import (
    Estimate,
    estimate,
    paired_difference,
    paired_differences,
    paired_share_difference,
    share_estimate,
)

finite = st.floats(-100, 100)
NAN = math.nan


def slow_bootstrap(values: np.ndarray, resamples: int = 2000) -> tuple[float, float]:
    """Ends of the 95 % percentile interval of the mean, one resample after the other."""
    rng = np.random.default_rng(12345)
    means = sorted(
        sum(values[i] for i in rng.integers(len(values), size=len(values))) / len(values) for _ in range(resamples)
    )
    return means[int(0.025 * resamples)], means[int(0.975 * resamples)]


@settings(max_examples=50)
@given(st.lists(finite, min_size=1, max_size=30))
def test_value_is_the_mean_and_lies_inside_its_interval(values: list[float]) -> None:
    result = estimate(values)
    assert result.value == pytest.approx(np.mean(values), abs=1e-9)
    assert result.n == len(values)
    if len(values) > 1:
        assert min(values) - 1e-9 <= result.low <= result.value + 1e-9
        assert result.value - 1e-9 <= result.high <= max(values) + 1e-9


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(1).normal(3, 2, 25),
        np.random.default_rng(2).lognormal(0, 1, 25),
        np.random.default_rng(3).integers(0, 2, 200).astype(float),
        np.array([0.2, 0.9]),
    ],
    ids=["normal", "skewed", "shares", "two values"],
)
def test_interval_agrees_with_a_bootstrap_written_out(values: np.ndarray) -> None:
    result = estimate(values)
    low, high = slow_bootstrap(values)
    # 2,000 resamples leave each end uncertain by about 1.5 % of the width
    assert result.low == pytest.approx(low, abs=0.1 * (high - low))
    assert result.high == pytest.approx(high, abs=0.1 * (high - low))


def test_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    covered = sum(
        result.low <= 5 <= result.high for result in (estimate(rng.normal(5, 3, size=40)) for _ in range(300))
    )
    # the percentile bootstrap of 40 values covers about 93.5 %; 300 trials leave that uncertain by 1.4 points
    assert 0.89 * 300 <= covered <= 0.98 * 300


def test_same_values_give_the_same_interval() -> None:
    values = np.random.default_rng(4).normal(size=20)
    assert estimate(values) == estimate(values.tolist())


@settings(max_examples=30)
@given(st.lists(finite, max_size=10), st.lists(st.integers(0, 10), min_size=1, max_size=4))
def test_undefined_texts_are_left_out_and_not_counted(values: list[float], places: list[int]) -> None:
    with_gaps = list(values)
    for place in places:
        with_gaps.insert(place, NAN)
    assert estimate(with_gaps).to_dict() == estimate(values).to_dict()


@pytest.mark.parametrize("values", [[], [NAN], [NAN, NAN]])
def test_nothing_measured_is_undefined_not_zero(values: list[float]) -> None:
    result = estimate(values)
    assert result.n == 0
    assert all(math.isnan(number) for number in (result.value, result.low, result.high))


def test_one_value_has_no_interval() -> None:
    result = estimate([0.25, NAN])
    assert (result.value, result.n) == (0.25, 1)
    assert math.isnan(result.low)
    assert math.isnan(result.high)


def test_equal_values_have_an_interval_of_no_width() -> None:
    assert estimate([0.7] * 5) == Estimate(0.7, 0.7, 0.7, 5)


def test_transform_is_of_the_mean_and_of_both_ends() -> None:
    values = np.random.default_rng(5).normal(2, 0.5, size=30)
    plain, perplexity = estimate(values), estimate(values, math.exp)
    assert perplexity.value == pytest.approx(math.exp(values.mean()))
    assert perplexity.low == pytest.approx(math.exp(plain.low))
    assert perplexity.high == pytest.approx(math.exp(plain.high))
    assert estimate([2.0, 2.0], math.exp).value == math.exp(2)
    assert estimate([2.0], math.exp).value == math.exp(2)


@pytest.mark.parametrize("values", [[], [1.5], [0.0, 0.0], [0.0, 1.0, 5.0], [-1.0, 1.0]])
def test_survives_json(values: list[float]) -> None:
    before = estimate(values)
    text = json.dumps(before.to_dict(), allow_nan=False)
    after = Estimate.from_dict(json.loads(text))
    assert after.n == before.n
    assert np.array_equal([after.value, after.low, after.high], [before.value, before.low, before.high], equal_nan=True)


def test_paired_difference_is_of_the_same_texts() -> None:
    # text by text: 1, 1 and, for the third, undefined
    assert paired_difference([3.0, 5.0, NAN], [2.0, 4.0, 1.0]) == Estimate(1.0, 1.0, 1.0, 2)


def test_pairing_narrows_the_interval() -> None:
    rng = np.random.default_rng(6)
    hard = rng.normal(0, 10, size=50)
    first, second = (hard + 1 + rng.normal(0, 0.1, size=50)).tolist(), hard.tolist()
    paired, unpaired = paired_difference(first, second), estimate(first)
    assert 0.9 < paired.low < paired.high < 1.1
    assert unpaired.high - unpaired.low > 10 * (paired.high - paired.low)


def test_pairs_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="not 1 and 3"):
        paired_difference([1.0], [1.0, 2.0, 3.0])


def test_differences_of_shares_by_hand() -> None:
    """Ten texts: 4 hits only in the first, 1 only in the second; half a text more in each of the four cells."""
    first = [1.0] * 4 + [0.0] + [1.0, 0.0, 0.0, 1.0, 1.0]
    second = [0.0] * 4 + [1.0] + [1.0, 0.0, 0.0, 1.0, 1.0]
    found = paired_share_difference([*first, NAN], [*second, 1.0])
    centre, half = 3 / 12, 1.959963984540054 * math.sqrt(4.5 + 1.5 - 3**2 / 12) / 12
    assert (found.value, found.low, found.high, found.n) == pytest.approx((0.3, centre - half, centre + half, 10))


def test_no_hit_anywhere_is_no_certainty() -> None:
    none = paired_share_difference([0.0] * 72, [0.0] * 72)
    assert none.value == 0
    assert none.low == pytest.approx(-none.high)
    assert 0.01 < none.high < 0.05
    assert math.isnan(paired_share_difference([NAN], [1.0]).value)
    with pytest.raises(ValueError, match="not 1 and 3"):
        paired_share_difference([1.0], [1.0, 0.0, 1.0])


def test_differences_of_shares_are_covered_about_as_often_as_promised() -> None:
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        cells = rng.choice(4, size=40, p=[0.1, 0.25, 0.05, 0.6])
        found = paired_share_difference((cells < 2).astype(float).tolist(), (cells % 2 == 0).astype(float).tolist())
        covered += found.low <= 0.2 <= found.high  # .1 + .25 against .1 + .05
    assert 0.92 <= covered / 400 <= 0.985


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1, max_size=30))
def test_differences_of_shares_lie_in_their_interval_and_change_sign_with_the_order(
    pairs: list[tuple[float, float]],
) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    one, other = paired_share_difference(first, second), paired_share_difference(second, first)
    assert -1 <= one.low <= one.value <= one.high <= 1
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))


def test_shares_have_an_honest_interval_at_the_ends() -> None:
    """Wilson's interval by its formula; 0 of 72 is not certainty."""
    none = share_estimate([0.0] * 72)
    z = 1.959963984540054
    assert (none.value, none.low, none.n) == (0, 0, 72)
    assert none.high == pytest.approx(z**2 / (72 + z**2))
    half = share_estimate([1.0, 0.0] * 10)
    spread = z * math.sqrt(0.25 / 20 + z**2 / (4 * 20**2)) / (1 + z**2 / 20)
    assert (half.value, half.low, half.high) == pytest.approx((0.5, 0.5 - spread, 0.5 + spread))
    assert math.isnan(share_estimate([]).value)


def test_differences_of_every_measure_that_both_have() -> None:
    first = {"ttr": [0.5, 0.7], "looped": [1.0, 0.0], "alone": [1.0, 2.0]}
    second = {"ttr": [0.4, 0.4], "looped": [0.0, 0.0]}
    found = paired_differences(first, second, {"looped"})
    assert list(found) == ["ttr", "looped"]
    assert found["ttr"].value == pytest.approx(0.2)
    assert found["looped"] == paired_share_difference([1.0, 0.0], [0.0, 0.0])
