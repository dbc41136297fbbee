"""Means over seeds and contexts with their intervals, by hand and against chance, and the answers they give."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats as scipy_stats

from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.measures.pooled import difference, over_runs, pooled, pooled_share
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial
from hyperfit.studies.words import answer


def test_one_seed_is_the_bootstrap_over_contexts() -> None:
    values = np.random.default_rng(0).random((1, 20))
    assert pooled(values) == estimate(values[0])


def test_seeds_that_differ_widen_the_interval() -> None:
    contexts = np.random.default_rng(0).random((1, 30))
    same, apart = np.repeat(contexts, 3, 0), contexts + np.array([[-0.5], [0.0], [0.5]])
    assert pooled(apart).value == pytest.approx(pooled(same).value)
    assert pooled(apart).high - pooled(apart).low > 2 * (pooled(same).high - pooled(same).low)
    assert pooled(same).n == 30


def test_intervals_cover_the_truth_with_three_seeds() -> None:
    """Of two factors, seeds and contexts, and of a few runs: in about 95 of 100 worlds in which nothing differs."""
    rng = np.random.default_rng(0)
    kept = {"grid": 0, "against one row": 0, "runs": 0}
    for _ in range(300):
        seeds, contexts = rng.normal(0, 0.05, (3, 1)), rng.normal(0, 0.1, (1, 24))
        grid = seeds + contexts + rng.normal(0, 0.1, (3, 24))
        base = rng.normal(0, 0.1, (1, 24)) + contexts
        for name, found in (
            ("grid", pooled(grid)), ("against one row", difference(grid, base)), ("runs", over_runs(list(grid[:, 0])))
        ):  # fmt: skip
            truth = 0.0 if name != "runs" else float(contexts[0, 0])
            kept[name] += found.low <= truth <= found.high
    assert all(0.9 <= count / 300 <= 1 for count in kept.values()), kept


def test_an_interval_of_two_factors_by_hand() -> None:
    """Seeds' means 1 and 3, contexts' means 1.5 and 2.5: variances of the mean 1 and .25, each with one degree."""
    found = pooled(np.array([[0.5, 1.5], [2.5, 3.5]]))
    freedom = 1.25**2 / (1 + 0.25**2)
    half = scipy_stats.t.ppf(0.975, freedom) * math.sqrt(1.25)
    assert (found.low, found.high) == (pytest.approx(2 - half), pytest.approx(2 + half))
    assert over_runs([1.0, 3.0]).high == pytest.approx(2 + scipy_stats.t.ppf(0.975, 1) * 1.0)
    assert math.isnan(over_runs([1.0]).low)


def test_seeds_are_paired_by_their_numbers() -> None:
    """The first lacks seed 0, the second seed 2: only seed 1 is common, and there they are the same."""

    def of(seed: int) -> Model:
        return Model(written={"greedy": {"values": {"ttr": [0.3 * seed, 0.3 * seed + 0.1]}}}, seed=seed)

    known = Results(StudySettings(model="m"), Model(), Model(), {}, {"a": [of(1), of(2)], "b": [of(0), of(1)]})
    assert known.difference("a", "b", "ttr").value == 0
    assert math.isnan(replace(known, models={"a": [of(2)], "b": [of(0)]}).difference("a", "b", "ttr").value)


def test_a_training_that_diverged_has_no_part_in_means() -> None:
    def ended(reason: str, loss: float) -> Any:
        trial = Trial("a", Recipe(model="m", data="d"))
        nothing: Any = None
        return Trained(
            trial=trial, run=nothing, parameters=7, epochs=4, reason=reason, train_loss=loss, epoch_seconds=1.0,
            cache_seconds=0.0,
        )  # fmt: skip

    both = {"a": [ended("loss", 0.25), ended("nan", math.nan)], "b": [ended("nan", math.nan)]}
    known = Results(StudySettings(model="m"), Model(), Model(), both, {})
    found = known.training("a", "train_loss")
    assert found is not None
    assert (found.value, found.n) == (0.25, 1)
    assert known.estimate_of("a", "epochs") == 4
    assert math.isnan(known.estimate_of("b", "epochs"))


def test_one_training_that_other_work_slowed_does_not_make_its_kind_slow() -> None:
    """10 and 12 seconds, and one of 400: 12, not 141; epochs are the recipe's, and their mean is told."""

    def ended(epochs: int, seconds: float, memory: float) -> Any:
        nothing: Any = None
        return Trained(
            trial=Trial("a", Recipe(model="m", data="d")), run=nothing, parameters=7, epochs=epochs, reason="loss",
            train_loss=0.2, epoch_seconds=seconds / epochs, cache_seconds=0.0, peak_memory=memory,
        )  # fmt: skip

    three = {"a": [ended(2, 10, 7e8), ended(3, 400, 7.1e8), ended(4, 12, 1.2e9)]}
    known = Results(StudySettings(model="m"), Model(), Model(), three, {})
    assert known.estimate_of("a", "seconds") == pytest.approx(12)
    assert known.estimate_of("a", "peak_memory") == 7.1e8
    assert known.estimate_of("a", "epochs") == 3


def test_no_hit_anywhere_does_not_show_that_nothing_changes() -> None:
    def of(value: float) -> Model:
        return Model(written={"greedy": {"values": {"loop_share": [value] * 4}}})

    known = Results(StudySettings(model="m"), of(0.0), Model(), {}, {"a": [of(0.0)], "b": [of(1.0)]})
    same, other = known.difference("a", "base", "loop_share"), known.difference("b", "base", "loop_share")
    assert same.low < 0 < same.high
    assert other.value == 1
    assert other.low < 0.9


def test_values_by_hand() -> None:
    found = pooled(np.array([[1.0, 3.0], [5.0, math.nan]]))
    assert found.value == 3.0
    assert found.n == 2
    assert pooled_share(np.zeros((2, 10))).high == pytest.approx(0.2775, abs=1e-4), "Wilson: 0 of 10"
    off = difference(np.array([[2.0, 4.0]]), np.array([[1.0, 1.0]]))
    assert (off.value, off.n) == (2.0, 2)
    with pytest.raises(ValueError, match="the same contexts"):
        difference(np.zeros((1, 2)), np.zeros((1, 3)))


def test_many_comparisons_widen_the_interval() -> None:
    first, second = np.random.default_rng(1).random((2, 3, 25))
    one, ten = difference(first, second), difference(first, second, comparisons=10)
    assert ten.low < one.low < one.value < one.high < ten.high


@pytest.mark.parametrize(
    ("low", "high", "least", "said"),
    [
        (0.1, 0.3, 0, "Yes"), (-0.3, -0.1, 0, "No"), (-0.1, 0.1, 0, "Partly"), (-0.04, 0.1, -0.05, "Yes"),
        (math.nan, math.nan, 0, "Not shown"), (-0.1, 0.0, 0, "No"),
    ],
)  # fmt: skip
def test_the_answer_follows_from_the_interval(low: float, high: float, least: float, said: str) -> None:
    assert answer(Estimate((low + high) / 2, low, high, 5), least) == said
