"""Geometry: identities, planted effects, numpy and scipy as oracles, simulations of bias and of intervals."""

import json
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import bootstrap, entropy, ortho_group

from hyperfit.mechanism.layers.capture import EMBEDDING, NORM, block_point, captured
from hyperfit.mechanism.layers.covariance import (
    cross_covariance,
    effective_rank,
    linear_cka,
    moments,
    participation_ratio,
    plain_ratio,
)
from hyperfit.mechanism.layers.geometry import MEASURES, Geometry, geometry
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.numbers import TENTHS
from tiny_models import random_ids, tiny_model
from tiny_pairs import adapter_pair, same_pair, whole_pair

TEXTS = random_ids(9, 20)
Array = NDArray[np.float64]


def batched(x: Array, size: int = 2) -> Any:
    def start() -> Iterator[torch.Tensor]:
        return iter(torch.from_numpy(x).split(size))

    return start


def measured(pair: Pair, *, share: bool = True) -> Geometry:
    with captured(pair, TEXTS, share=share, batch_size=4) as states:
        return geometry(states)


def clustered(rng: np.random.Generator, texts: int, positions: int, width: int) -> Array:
    """Tokens of a text share a part, as those of real texts do; skewed, with a mean far from 0."""
    scale = np.linspace(0.2, 2, width)
    shared = rng.exponential(size=(texts, 1, width))
    return np.asarray(100 + scale * (shared + 0.5 * rng.normal(size=(texts, positions, width))))


# One covariance


@given(st.integers(0, 10**6))
def test_moments_are_those_of_numpy(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = clustered(rng, 6, 5, 4), clustered(rng, 6, 5, 3)
    one, other = moments(batched(x)), moments(batched(y, 4))
    assert one.mean.numpy() == pytest.approx(x.reshape(30, 4).mean(0))
    assert one.covariance.numpy() == pytest.approx(np.cov(x.reshape(30, 4).T, bias=True))
    both = np.cov(np.hstack([x.reshape(30, 4), y.reshape(30, 3)]).T, bias=True)
    pairs = zip(batched(x)(), batched(y)(), strict=True)
    assert _cross(pairs, one, other) == pytest.approx(both[:4, 4:])


def _cross(pairs: Any, one: Any, other: Any) -> Array:
    total = sum((x - one.mean).flatten(0, 1).T @ (y - other.mean).flatten(0, 1) for x, y in pairs)
    return np.asarray(total) / 30


def slow_unbiased(x: Array) -> tuple[float, float]:
    """tr(Σ)² and tr(Σ²), by the definition: products of expectations over all tuples of different texts."""
    n, positions, _ = x.shape
    second, mean = np.einsum("gpi,gpj->gij", x, x) / positions, x.mean(1)
    squared, square, count = 0.0, 0.0, 0
    for g in range(n):
        for h in set(range(n)) - {g}:
            for k in set(range(n)) - {g, h}:
                for m in set(range(n)) - {g, h, k}:
                    a, b = mean[g] @ mean[h], mean[k] @ mean[m]
                    squared += (
                        second[g].trace() * second[h].trace() - 2 * second[g].trace() * (mean[h] @ mean[k]) + a * b
                    )
                    square += (second[g] * second[h]).sum() - 2 * mean[g] @ second[h] @ mean[k] + a * b
                    count += 1
    return squared / count, square / count


@pytest.mark.parametrize("texts", [4, 5, 7])
def test_unbiased_estimates_are_averages_over_different_texts(texts: int) -> None:
    x = clustered(np.random.default_rng(texts), texts, 3, 4) - 98
    found = moments(batched(x))
    assert (found.squared_trace, found.trace_of_square) == pytest.approx(slow_unbiased(x), rel=1e-9)


def test_with_one_token_a_text_they_are_those_of_himeno_and_yamada() -> None:
    x = np.random.default_rng(0).exponential(size=(11, 6))
    n, centred = 11, x - x.mean(0)
    cov = centred.T @ centred / (n - 1)
    quartic = (centred**2).sum(1) @ (centred**2).sum(1) / (n - 1)
    front = (n - 1) / (n * (n - 2) * (n - 3))
    trace, square = cov.trace() ** 2, (cov**2).sum()
    expected = (
        front * (2 * square + (n * n - 3 * n + 1) * trace - n * quartic),
        front * ((n - 1) * (n - 2) * square + trace - n * quartic),
    )
    found = moments(batched(x[:, None]))
    assert (found.squared_trace, found.trace_of_square) == pytest.approx(expected, rel=1e-10)


def test_too_few_texts_have_no_correction() -> None:
    found = moments(batched(np.random.default_rng(0).normal(size=(3, 5, 4))))
    assert math.isnan(found.squared_trace)
    assert math.isnan(participation_ratio(found.squared_trace, found.trace_of_square))


def test_correction_takes_most_of_the_bias_of_few_texts() -> None:
    rng, width, texts, positions = np.random.default_rng(0), 20, 12, 6
    variance = np.linspace(0.2, 2, width) ** 2 * 1.25
    truth = variance.sum() ** 2 / (variance**2).sum()
    drawn = [moments(batched(clustered(rng, texts, positions, width), 12)) for _ in range(400)]
    naive = np.mean([plain_ratio(m.covariance) for m in drawn])
    corrected = np.mean([participation_ratio(m.squared_trace, m.trace_of_square) for m in drawn])
    assert naive < 0.65 * truth
    assert abs(corrected - truth) < 0.35 * (truth - naive)
    # its two parts have no bias at all
    assert np.mean([m.squared_trace for m in drawn]) == pytest.approx(variance.sum() ** 2, rel=0.03)
    assert np.mean([m.trace_of_square for m in drawn]) == pytest.approx((variance**2).sum(), rel=0.05)


@pytest.mark.parametrize("rank", [1, 3, 8])
def test_dimensions_of_a_ball_are_its_rank(rank: int) -> None:
    axes = torch.from_numpy(ortho_group.rvs(8, random_state=0))[:, :rank]
    covariance = 3 * axes @ axes.T
    assert plain_ratio(covariance) == pytest.approx(rank)
    assert effective_rank(torch.linalg.eigvalsh(covariance)) == pytest.approx(rank)


def test_no_spread_is_undefined() -> None:
    nothing = torch.zeros(4, 4, dtype=torch.float64)
    assert math.isnan(plain_ratio(nothing))
    assert math.isnan(effective_rank(torch.zeros(4, dtype=torch.float64)))
    assert math.isnan(linear_cka(nothing, nothing, nothing))


@given(st.integers(0, 10**6))
def test_ranges(seed: int) -> None:
    x = np.random.default_rng(seed).normal(size=(30, 5))
    cov = torch.from_numpy(np.cov(x.T))
    values = np.linalg.eigvalsh(cov.numpy())
    assert plain_ratio(cov) == pytest.approx(values.sum() ** 2 / (values**2).sum())
    assert effective_rank(torch.from_numpy(values)) == pytest.approx(math.exp(entropy(values)))
    assert 1 <= plain_ratio(cov) <= effective_rank(torch.from_numpy(values)) + 1e-9 <= 5 + 1e-8


# Two models


@pytest.mark.parametrize("share", [True, False])
def test_a_model_is_at_no_distance_from_itself(share: bool) -> None:
    found = measured(same_pair(), share=share)
    for layer in found.layers:
        assert layer["cosine"].value == pytest.approx(1, abs=1e-12)
        assert layer["cka"].value == pytest.approx(1, abs=1e-12)
        for measure in ("l2", "relative_l2", "delta_dim", "delta_dim_corrected", "delta_rank"):
            value = layer[measure]
            assert (value.value, value.low, value.high) == (0, 0, 0), (layer.point, measure)
    assert found.jump("delta_dim").norm.value == 0
    assert math.isnan(found.jump("delta_dim").norm_share)


def states_of(pair: Pair, point: str) -> tuple[Array, Array]:
    with captured(pair, TEXTS, share=False) as states:
        return tuple(torch.cat(list(states.side(side, point))).numpy() for side in ("base", "tuned"))  # type: ignore[return-value, arg-type]


@pytest.mark.parametrize("point", [EMBEDDING, "block 3", "block 5", NORM])
@pytest.mark.parametrize("pair", [adapter_pair(), whole_pair("gpt2")], ids=["adapter", "whole"])
def test_every_measure_agrees_with_numpy(pair: Pair, point: str) -> None:
    layer = measured(pair)[point]
    (x, y) = (s.reshape(-1, 32) for s in states_of(pair, point))
    lengths = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    expected = {
        "cosine": ((x * y).sum(1) / lengths[0] / lengths[1]).mean(),
        "l2": np.linalg.norm(x - y, axis=1).mean(),
        "relative_l2": (np.linalg.norm(x - y, axis=1) / lengths[0]).mean(),
        "norm_base": lengths[0].mean(),
        "norm_tuned": lengths[1].mean(),
    }
    a, b = x - x.mean(0), y - y.mean(0)
    expected["cka"] = np.linalg.norm(b.T @ a) ** 2 / np.linalg.norm(a.T @ a) / np.linalg.norm(b.T @ b)
    for side, s in (("base", x), ("tuned", y)):
        values = np.linalg.svd(s - s.mean(0), compute_uv=False) ** 2
        expected[f"dim_{side}"] = values.sum() ** 2 / (values**2).sum()
        expected[f"rank_{side}"] = math.exp(entropy(values))
        units = s / np.linalg.norm(s, axis=1, keepdims=True)
        cosines = units @ units.T
        expected[f"anisotropy_{side}"] = cosines[~np.eye(len(s), dtype=bool)].mean()
    expected["delta_dim"] = expected["dim_tuned"] - expected["dim_base"]
    expected["delta_rank"] = expected["rank_tuned"] - expected["rank_base"]
    for measure, value in expected.items():
        assert layer[measure].value == pytest.approx(value, rel=1e-7, abs=1e-9), measure
        assert layer[measure].n == 9


def planted(change: Any, base: Array) -> Geometry:
    """Geometry of states that never came from a model: base, and what ``change`` makes of them."""

    class Planted:
        points, shared = (EMBEDDING, block_point(0), NORM), frozenset({EMBEDDING})
        texts, width, depth = base.shape[0], base.shape[2], 1
        tokens = base.shape[0] * base.shape[1]

        def side(self, which: str, point: str) -> Any:
            return batched(change(base) if which == "tuned" and point not in self.shared else base)()

        def both(self, point: str) -> Any:
            return zip(self.side("base", point), self.side("tuned", point), strict=True)

    return geometry(Planted())  # type: ignore[arg-type]


def test_a_planted_rotation_moves_states_and_keeps_their_shape() -> None:
    base = clustered(np.random.default_rng(0), 12, 10, 8) - 100
    layer = planted(lambda x: x @ ortho_group.rvs(8, random_state=1), base)[NORM]
    assert layer["cka"].value == pytest.approx(1)
    for measure in ("delta_dim", "delta_dim_corrected", "delta_rank"):
        assert layer[measure].value == pytest.approx(0, abs=1e-8)
    assert layer["norm_tuned"].value == pytest.approx(layer["norm_base"].value)
    assert layer["cosine"].value < 0.5
    assert layer["l2"].low > 1


@pytest.mark.parametrize("added", [2, 6])
def test_a_planted_expansion_is_found(added: int) -> None:
    rng = np.random.default_rng(0)
    base = np.zeros((40, 25, 12))
    base[..., :4] = rng.normal(size=(40, 25, 4))
    noise = rng.normal(size=(40, 25, added))

    def expand(x: Array) -> Array:
        wider = x.copy()
        wider[..., 4 : 4 + added] = noise
        return wider

    layer = planted(expand, base)[NORM]
    for measure in ("delta_dim", "delta_dim_corrected", "delta_rank"):
        assert layer[measure].value == pytest.approx(added, abs=0.1)
        assert layer[measure].low < layer[measure].value < layer[measure].high
    assert layer["l2"].value == pytest.approx(np.linalg.norm(noise, axis=2).mean())


def statistics(x: Array, y: Array) -> dict[str, float]:
    flat = x.reshape(-1, x.shape[-1]), y.reshape(-1, y.shape[-1])
    covariances = [np.cov(s.T, bias=True) for s in flat]
    values = [np.linalg.eigvalsh(c) for c in covariances]
    dims = [v.sum() ** 2 / (v**2).sum() for v in values]
    cross = (flat[0] - flat[0].mean(0)).T @ (flat[1] - flat[1].mean(0)) / len(flat[0])
    units = flat[1] / np.linalg.norm(flat[1], axis=1, keepdims=True)
    return {
        "delta_dim": dims[1] - dims[0],
        "rank_tuned": math.exp(entropy(values[1].clip(0))),
        "cka": (cross**2).sum() / np.linalg.norm(covariances[0]) / np.linalg.norm(covariances[1]),
        "anisotropy_tuned": ((units.sum(0) ** 2).sum() - len(units)) / len(units) / (len(units) - 1),
    }


@pytest.mark.parametrize("measure", ["delta_dim", "rank_tuned", "cka", "anisotropy_tuned"])
def test_intervals_are_close_to_those_of_a_whole_bootstrap(measure: str) -> None:
    rng = np.random.default_rng(3)
    base = clustered(rng, 60, 8, 5) - 99
    tuned = base @ rng.normal(size=(5, 5)) + rng.normal(size=base.shape)
    layer = planted(lambda x: tuned, base)[NORM]
    whole = bootstrap(
        (np.arange(60),),
        lambda rows: statistics(base[rows], tuned[rows])[measure],
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = layer[measure]
    assert found.high - found.low == pytest.approx(whole.high - whole.low, rel=0.25)
    assert abs(found.low + found.high - whole.low - whole.high) / 2 < 0.35 * (whole.high - whole.low)


def test_the_last_jump_is_split_between_block_and_norm() -> None:
    found = measured(whole_pair())
    for measure in ("l2", "relative_l2", "delta_dim"):
        jump = found.jump(measure)
        before, after, last = (found[point][measure].value for point in ("block 4", "block 5", NORM))
        assert jump.before.value == pytest.approx(before)
        assert jump.block.value == pytest.approx(after - before)
        assert jump.norm.value == pytest.approx(last - after)
        assert jump.norm_share == pytest.approx((last - after) / (last - before))


def test_results_are_plain_and_said() -> None:
    found = measured(adapter_pair())
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [row["point"] for row in plain["layers"]] == [EMBEDDING, *map(block_point, range(6)), NORM]
    assert [row["shared"] for row in plain["layers"]] == [True] * 5 + [False] * 3
    assert set(MEASURES) <= set(plain["layers"][0])
    assert plain["tokens"] == 9 * 19
    said = found.sentence()
    assert "first differ at block 4" in said
    assert TENTHS.within(found["block 5"]["delta_dim"], "+") in said


def test_a_model_without_a_final_norm_says_so() -> None:
    models = [tiny_model("opt", do_layer_norm_before=False, seed=seed) for seed in (0, 1)]
    found = measured(Pair(*models))
    assert "no final norm" in found.sentence()
    assert math.isnan(found.jump("l2").norm.value)
    json.dumps(found.to_dict(), allow_nan=False)


def test_cross_covariance_is_streamed() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(7, 4, 3)), rng.normal(size=(7, 4, 3))
    one, other = moments(batched(x)), moments(batched(y))
    found = cross_covariance(zip(batched(x, 3)(), batched(y, 3)(), strict=True), one, other)
    assert found.numpy() == pytest.approx(np.cov(np.hstack([x.reshape(28, 3), y.reshape(28, 3)]).T, bias=True)[:3, 3:])
