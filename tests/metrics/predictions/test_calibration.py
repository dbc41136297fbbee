"""Calibration: a table worked by hand, one counted position by position, and what an interval should cover."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyperfit.metrics.predictions.calibration import calibration
from hyperfit.metrics.predictions.predict import Predictions, predict
from tiny_models import random_ids, tiny_model


def seen(
    confidence: list[list[float]] | NDArray[np.float64], hit: list[list[float]] | NDArray[np.float64]
) -> Predictions:
    """Predictions of which only calibration's part means anything."""
    sure, right = np.array(confidence, np.float64), np.array(hit, np.float64)
    return Predictions(sure, sure, {1: sure, 3: sure, 5: sure}, right, np.zeros(sure.shape, np.int64))


def test_worked_by_hand() -> None:
    nan = math.nan
    found = calibration(seen([[nan, 0.3, 0.5, 0.9], [nan, 0.6, 0.8, nan]], [[nan, 1, 0, 1], [nan, 0, 0, nan]]), bins=2)
    # (0, .5]: .3 right, .5 wrong: sure .4, right .5. (.5, 1]: .9 right, .6 and .8 wrong: sure .7667, right .3333
    assert found.edges.tolist() == [0, 0.5, 1]
    assert found.count.tolist() == [2, 3]
    assert found.confidence == pytest.approx([0.4, 2.3 / 3])
    assert found.accuracy == pytest.approx([1 / 2, 1 / 3])
    assert found.error.value == pytest.approx(2 / 5 * 0.1 + 3 / 5 * (2.3 / 3 - 1 / 3))
    assert found.error.n == 2


def slow_error(confidence: list[float], hit: list[float], bins: int) -> float:
    """Bin after bin, as the paper writes it."""
    edges, error = np.linspace(0, 1, bins + 1), 0.0
    for low, high in pairwise(edges):
        inside = [i for i, sure in enumerate(confidence) if low < sure <= high]
        if inside:
            gap = np.mean([hit[i] for i in inside]) - np.mean([confidence[i] for i in inside])
            error += len(inside) / len(confidence) * abs(gap)
    return error


positions = st.tuples(st.floats(0, 1, exclude_min=True) | st.sampled_from([0.2, 0.4, 0.6, 1.0]), st.booleans())


@given(st.lists(st.lists(positions, max_size=6), min_size=1, max_size=5), st.integers(1, 20))
def test_is_the_formula_of_the_paper(texts: list[list[tuple[float, bool]]], bins: int) -> None:
    sure, right = np.full((len(texts), 6), np.nan), np.full((len(texts), 6), np.nan)
    for row, text in enumerate(texts):
        for column, (confidence, hit) in enumerate(text):
            sure[row, column], right[row, column] = confidence, hit
    found = calibration(seen(sure, right), bins=bins)
    flat = [position for text in texts for position in text]
    assert found.count.sum() == len(flat)
    assert found.error.n == sum(bool(text) for text in texts)
    if flat:
        assert found.error.value == pytest.approx(slow_error(*map(list, zip(*flat, strict=True)), bins), abs=1e-12)
        assert 0 <= found.error.value <= 1
    else:
        assert math.isnan(found.error.value)
    if found.error.n > 1:
        assert 0 <= found.error.low <= found.error.value <= found.error.high
    there = found.count > 0
    assert (np.isnan(found.confidence) == ~there).all()
    assert (np.isnan(found.accuracy) == ~there).all()
    assert (found.confidence[there] <= found.edges[1:][there] + 1e-12).all()
    assert (found.confidence[there] >= found.edges[:-1][there] - 1e-12).all()


def test_sure_and_always_wrong_or_always_right() -> None:
    wrong = calibration(seen([[1.0] * 4] * 3, [[0.0] * 4] * 3)).error
    assert (wrong.value, wrong.low, wrong.high) == (1, 1, 1)
    right = calibration(seen([[1.0] * 4] * 3, [[1.0] * 4] * 3)).error
    assert (right.value, right.low, right.high) == (0, 0, 0)


def test_undefined_without_positions_and_no_interval_of_one_text() -> None:
    nothing = calibration(seen([[math.nan], [math.nan]], [[math.nan], [math.nan]]))
    assert nothing.error.n == 0
    assert all(math.isnan(x) for x in (nothing.error.value, nothing.error.low, nothing.error.high))
    assert nothing.count.tolist() == [0] * 15
    one = calibration(seen([[0.4, 0.7]], [[0, 1]])).error
    assert (one.n, one.value) == (1, pytest.approx(0.35))
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def drawn(rng: np.random.Generator, texts: int, shift: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Confidence, and the true chance to be right, of texts of 50 positions that differ in difficulty."""
    logit = rng.normal(0, 0.5, (texts, 1)) + rng.normal(0, 1.5, (texts, 50))
    return 1 / (1 + np.exp(-logit)), 1 / (1 + np.exp(shift - logit))


@pytest.mark.parametrize("shift", [0.3, 1.0])
def test_interval_covers_the_true_error_about_as_often_as_it_says(shift: float) -> None:
    rng = np.random.default_rng(0)
    sure, chance = drawn(rng, 20_000, shift)
    true = slow_error_of_many(sure, chance)
    covered = 0
    for _ in range(100):
        sure, chance = drawn(rng, 60, shift)
        found = calibration(seen(sure, (rng.random(chance.shape) < chance).astype(float))).error
        covered += found.low <= true <= found.high
    assert 85 <= covered <= 99


def slow_error_of_many(sure: NDArray[np.float64], chance: NDArray[np.float64]) -> float:
    """The error that no sampling of hits blurs."""
    edges = np.linspace(0, 1, 16)
    return sum(
        abs(float((chance - sure)[(low < sure) & (sure <= high)].sum())) / sure.size for low, high in pairwise(edges)
    )


def test_more_texts_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    widths = []
    for texts in (30, 480):
        sure, chance = drawn(rng, texts, 0.8)
        found = calibration(seen(sure, (rng.random(chance.shape) < chance).astype(float))).error
        widths.append(found.high - found.low)
    assert widths[1] < widths[0] / 2


def test_of_a_model_and_of_a_part_of_its_texts() -> None:
    read = predict(tiny_model(), random_ids(6, 20))
    whole, part = calibration(read), calibration(read.part(skip=11))
    assert whole.count.sum() == 6 * 19
    assert part.count.sum() == 6 * 9
    there = whole.count > 0
    assert (whole.confidence[there] * whole.count[there]).sum() == pytest.approx(np.nansum(read.mass[1]))
    assert (whole.accuracy[there] * whole.count[there]).sum() == pytest.approx(np.nansum(read.hit))
