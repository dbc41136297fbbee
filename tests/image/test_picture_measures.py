"""Measures of completed pictures, worked by hand, and on planted cases: a repeated row, a copied picture, noise."""

import math

import numpy as np
import pytest

from hyperfit.image.measures.kernel import kernel_distance
from hyperfit.image.measures.likeness import (
    colour_distance,
    features,
    spectrum,
    spectrum_distance,
    told_apart,
    told_apart_in_pairs,
)
from hyperfit.image.measures.repetition import (
    colour_ttr,
    column_repetition,
    line_repetition,
    row_likeness,
    row_loop,
    row_repetition,
)
from hyperfit.image.measures.score import ORIGINAL, Pictures, score, statistics
from hyperfit.image.shapes.scenes import pictures
from hyperfit.metrics.text.pooled import jackknife
from hyperfit.numbers import STYLES
from hyperfit.report.tables.pictures import ASKED, MEASURES, picture_sheet

BY_HAND = np.array([[9, 9, 9, 9, 9], [1, 2, 1, 2, 1], [1, 2, 1, 2, 3], [1, 2, 1, 2, 3]])
"""Five across, four down; the first row is given."""


def test_repetition_by_hand() -> None:
    assert colour_ttr(BY_HAND, 5) == pytest.approx(3 / 15)
    assert colour_ttr(BY_HAND, 7) == pytest.approx(3 / 13), "what was given does not count"
    assert row_repetition(BY_HAND, 5) == pytest.approx(1 - 3 / 6), "1212 three times, 2121, and 2123 twice"
    assert math.isnan(column_repetition(BY_HAND, 5)), "columns of three pixels have no run of four"
    assert line_repetition(BY_HAND.T) == pytest.approx(1 - 3 / 5), "9111 and 9222 come twice, 9133 once"
    assert row_likeness(BY_HAND, 5) == pytest.approx((0 + 4 + 5) / 15)
    assert row_likeness(BY_HAND, 7) == pytest.approx((4 + 5) / 10), "a row of which a part is given does not count"


def test_loops_of_rows_by_hand() -> None:
    assert row_loop(BY_HAND, 5) == (0.0, pytest.approx(math.nan, nan_ok=True))
    four = np.array([[0, 0], [1, 2], [3, 3], [3, 3], [3, 3]])
    assert row_loop(four, 2) == (1.0, 1.0), "one row three times, behind one other"
    turns = np.array([[0, 0], [5, 5], *[[1, 1], [2, 2]] * 3])
    assert row_loop(turns, 2) == (1.0, 1.0), "two rows in turn"
    assert row_loop(turns[:-2], 2)[0] == 0.0, "two rounds are too few"
    assert all(map(math.isnan, row_loop(turns[:3], 2))), "two rows are too few to tell"


def test_colour_distance_by_hand() -> None:
    black, half = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2, 3), np.uint8)
    half[1] = 255
    assert colour_distance(black, black, 0) == 0
    assert colour_distance(black, half, 0) == 0.5
    assert colour_distance(black, half, 2) == 1.0, "behind the given pixels nothing is in common"
    assert colour_distance(half, half[::-1], 0) == 0, "wherever the colours are"


def test_spectrum_by_hand() -> None:
    flat = np.full((8, 8, 3), 90, np.uint8)
    assert spectrum(flat).tolist() == pytest.approx([0.0] * 4, abs=1e-9)
    stripes = np.tile(np.array([0, 200], np.uint8)[None, :, None], (8, 4, 3))
    found = spectrum(stripes)
    assert found.argmax() == 3, "four waves a side"
    places = np.rint(np.hypot(*np.meshgrid(np.fft.fftfreq(8) * 8, np.fft.fftfreq(8) * 8))) == 4
    assert found[3] == pytest.approx(math.log10(100**2 * 64 / places.sum() + 1)), "all of the variance is there"
    assert spectrum_distance(stripes, stripes, 0) == 0
    assert spectrum_distance(stripes, flat, 0) == pytest.approx(found[3] / 2), "one of four frequencies differs"
    assert math.isnan(spectrum_distance(stripes, flat, 5 * 8))


def test_features_by_hand() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:, 2:] = 100
    pixels[0] = 77
    found = features(pixels, 4)
    assert found[:3].tolist() == found[3:6].tolist() == [50.0] * 3, "mean and spread"
    assert found[6:8].tolist() == [0.0, pytest.approx(100 / 3)], "down, across"


def test_two_kinds_are_told_apart_as_by_a_classifier_fitted_without_each() -> None:
    draw = np.random.default_rng(1)
    made, real = (draw.integers(0, high, (6, 8, 8, 3), dtype=np.uint8) for high in (200, 256))
    look = statistics(16)
    found = told_apart(look(made), look(real))
    seen = np.array([features(one, 16) for one in (*made, *real)])
    seen = np.c_[(seen - seen.mean(0)) / seen.std(0), np.ones(12)]
    kind = np.array([1.0] * 6 + [-1.0] * 6)
    for place in range(12):
        others = np.arange(12) != place
        fit = np.linalg.solve(seen[others].T @ seen[others] + np.eye(seen.shape[1]), seen[others].T @ kind[others])
        assert found[place] == float(seen[place] @ fit * kind[place] > 0)
    assert all(map(math.isnan, told_apart(look(made[:1]), look(made))))
    pairs = told_apart_in_pairs(look(made), look(real))
    assert pairs == [(found[place] + found[6 + place]) / 2 for place in range(6)]
    assert all(map(math.isnan, told_apart_in_pairs(look(made[:1]), look(real[:1]))))


def test_kernel_distance_by_hand() -> None:
    """Two features: k(x, y) = (x·y / 2 + 1)³."""
    made, real = np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[0.0, 2.0], [2.0, 2.0]])
    # among the made 1, among the real (4 / 2 + 1)³ = 27; across, first with second 1, second with first 1
    assert kernel_distance(made, real).value == 1 + 27 - 1 - 1
    assert kernel_distance(made, made[::-1]).value == 1 + 1 - 1 - (4 / 2 + 1) ** 3, "below 0 by chance"
    assert kernel_distance(real, real).value == 0
    assert math.isnan(kernel_distance(made, real).low)
    assert math.isnan(kernel_distance(made[:1], real[:1]).value)


def test_kernel_distance_is_the_mean_over_pairs_and_jackknifed_by_leaving_one_out() -> None:
    draw = np.random.default_rng(0)
    made, real = draw.normal(size=(7, 5)), draw.normal(0.5, 1, (7, 5))

    def k(x: np.ndarray, y: np.ndarray) -> float:
        return float((x @ y / 5 + 1) ** 3)

    def by_pairs(some: list[int]) -> float:
        return float(
            np.mean(
                [
                    k(made[i], made[j]) + k(real[i], real[j]) - k(made[i], real[j]) - k(made[j], real[i])
                    for i in some
                    for j in some
                    if i != j
                ]
            )
        )

    found = kernel_distance(made, real)
    assert found.value == pytest.approx(by_pairs(list(range(7))))
    want = jackknife(
        found.value, [by_pairs([i for i in range(7) if i != out]) for out in range(7)], 7, lowest=-math.inf
    )
    assert (found.low, found.high) == pytest.approx((want.low, want.high))


def test_kernel_distance_of_one_distribution_is_about_nothing_and_of_noise_much() -> None:
    draw = np.random.default_rng(3)
    same = [kernel_distance(draw.normal(size=(40, 4)), draw.normal(size=(40, 4))) for _ in range(30)]
    assert abs(np.mean([one.value for one in same])) < 0.1
    assert np.mean([one.low <= 0 <= one.high for one in same]) >= 0.8
    assert kernel_distance(draw.normal(3, 1, (40, 4)), draw.normal(size=(40, 4))).low > 100


# Planted cases

GIVEN = 4 * 16


@pytest.fixture(scope="module")
def real() -> Pictures:
    return named(pictures(range(40), 16))


def named(pixels: np.ndarray) -> Pictures:
    """Pictures whose tokens are their colours in 512 boxes."""
    return Pictures((pixels.astype(np.int64) // 32) @ np.array([64, 8, 1]), pixels)


def planted(real: Pictures, kind: str) -> Pictures:
    pixels = real.pixels.copy()
    if kind == "a repeated row":
        pixels[:, 4:] = pixels[:, 3:4]
    elif kind == "a copy":
        pixels[:, 4:] = pictures(range(100, 140), 16)[:, 4:]
    elif kind == "noise":
        pixels[:, 4:] = np.random.default_rng(0).integers(0, 256, pixels[:, 4:].shape)
    elif kind == "other places":
        pixels[:, 4:] = (
            pixels[:, 4:]
            .reshape(40, 12 * 16, 3)[:, np.random.default_rng(0).permutation(12 * 16)]
            .reshape(40, 12, 16, 3)
        )
    elif kind == "every column twice":
        pixels[:, 4:] = np.random.default_rng(0).integers(0, 256, pixels[:, 4:].shape)
        pixels[:, 4:, 8:] = pixels[:, 4:, 7::-1]
    elif kind == "every row twice":
        pixels[:, 4:] = np.random.default_rng(0).integers(0, 256, pixels[:, 4:].shape)
        pixels[:, 10:] = pixels[:, 9:3:-1]
    elif kind == "another real one":
        pixels[:, 4:] = pictures(range(200, 240), 16)[:, 4:]
    return named(pixels)


def test_each_measure_sees_what_is_planted(real: Pictures) -> None:
    kinds = ("a repeated row", "a copy", "noise", "another real one")
    scores = score(
        {kind: planted(real, kind) for kind in kinds}, real, named(pictures(range(100, 140), 16)), GIVEN
    ).conditions
    assert list(scores) == [*kinds, ORIGINAL]

    def of(measure: str) -> dict[str, float]:
        return {kind: found[measure].value for kind, found in scores.items() if measure in found}

    rows, noise = "a repeated row", "noise"
    assert of("row_likeness")[rows] == 1.0
    assert of("row_loop_share")[rows] == 1.0
    assert of("row_loop_onset")[rows] == 0.0
    assert of("row_loop_share")[noise] == of("row_likeness")[noise].__floor__() == 0
    for measure in ("row_repetition", "row_likeness", "row_loop_share"):
        assert max(of(measure), key=lambda kind: of(measure)[kind]) == rows, measure
        assert of(measure)[noise] < of(measure)[ORIGINAL] < of(measure)[rows], measure
    assert of("colour_ttr")[rows] < of("colour_ttr")[ORIGINAL] < of("colour_ttr")[noise]
    assert of("copied_share")["a copy"] == 1.0
    assert of("nearest_training")["a copy"] == 0.0
    assert of("copied_share")[noise] == 0.0
    assert of("longest_overlap")["a copy"] == 12 * 16, "all that was added"
    assert of("longest_overlap")[noise] < 4 < of("longest_overlap")[ORIGINAL]
    assert of("copied_share")["another real one"] < 0.3
    assert of("spectrum_distance")[noise] > of("spectrum_distance")["another real one"]
    assert of("spectrum_distance")[rows] > 0
    assert min(of("told_apart")[noise], of("told_apart")[rows]) > 0.95
    assert 0.3 < of("told_apart")["another real one"] < 0.7
    assert "kernel_distance" not in scores[noise], "no model gave features"
    assert math.isnan(of("colour_distance")[ORIGINAL])
    assert "told_apart" not in scores[ORIGINAL]
    assert scores[noise]["told_apart"].n == 80


def test_repetition_is_seen_where_it_is_planted(real: Pictures) -> None:
    """Noise, of which the second half mirrors the first, so that half of the runs come twice."""
    columns, rows = (
        score({kind: planted(real, kind)}, real, real, GIVEN).conditions[kind]
        for kind in ("every column twice", "every row twice")
    )
    assert columns["column_repetition"].value == rows["row_repetition"].value == 0.5
    assert columns["row_repetition"].value == rows["column_repetition"].value == 0


def test_colours_and_frequencies_are_seen_apart(real: Pictures) -> None:
    kinds = ("other places", "noise", "another real one")
    found = score({kind: planted(real, kind) for kind in kinds}, real, real, GIVEN).conditions
    colours, waves = (
        {kind: found[kind][measure] for kind in kinds} for measure in ("colour_distance", "spectrum_distance")
    )
    assert colours["other places"].value == colours["other places"].high == 0, "the same colours"
    assert colours["noise"].value > colours["another real one"].value > 0.5
    assert waves["other places"].low > waves["another real one"].value, "which lie elsewhere"


def test_without_training_pictures_nothing_is_said_of_copies(real: Pictures) -> None:
    scores = score(
        {"noise": planted(real, "noise")}, real, Pictures(real.tokens[:0], real.pixels[:0]), GIVEN
    ).conditions
    assert math.isnan(scores["noise"]["nearest_training"].value)
    assert math.isnan(scores["noise"]["copied_share"].value)
    assert math.isnan(scores["noise"]["longest_overlap"].value)


def test_the_table_has_every_measure(real: Pictures) -> None:
    scores = score({"noise": planted(real, "noise")}, real, real, GIVEN).conditions
    assert {measure.key for measure in (*MEASURES, *ASKED)} <= {*STYLES}
    assert {*scores["noise"]} == {measure.key for measure in MEASURES}
    sheet = picture_sheet(scores)
    assert [row.name for row in sheet.rows] == ["noise", ORIGINAL]
    assert len(sheet.columns) == len(MEASURES)
    scores = score({"noise": planted(real, "noise")}, real, real, GIVEN, featurise=statistics(GIVEN)).conditions
    assert picture_sheet(scores).columns[-1] == "KID"
    assert sheet.caption == "n = 40 pictures unless told; 95 % intervals in brackets."
