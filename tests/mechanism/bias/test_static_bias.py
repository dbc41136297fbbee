"""Static bias: planted tokens and shifts are recovered, ranks are scipy's, and an alpha of 0 changes nothing."""

import json
import math
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.mechanism.bias.injection import Injection, bias_injection, biases, spearman
from hyperfit.mechanism.bias.static_bias import StaticBias, promotion, ranks_of
from hyperfit.mechanism.pair.continuations import Continuing
from hyperfit.mechanism.pair.pair import Pair
from tiny_models import END, VOCABULARY, random_ids, tiny_model, tiny_tokenizer

TEXTS = random_ids(4, 20)
PLANTED = [9, 40, 41, 200]
SHIFTS = [6.0, 5.0, 4.0, 7.0]
NO_IDS = torch.zeros((1, 0), dtype=torch.int64)


def promoting(constant: float = 0.0) -> PreTrainedModel:
    """The tiny phi, which has a bias at its head, with PLANTED promoted and a constant on every logit."""
    model = tiny_model("phi")
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.bias.data += constant
    head.bias.data[PLANTED] += torch.tensor(SHIFTS)
    return model


def planted(constant: float = 0.0) -> Pair:
    return Pair(tiny_model("phi"), promoting(constant))


@torch.no_grad()
def logits_of(model: PreTrainedModel, skip: int) -> np.ndarray:
    """float64[positions, vocabulary]"""
    logits: torch.Tensor = model(input_ids=TEXTS).logits[:, skip - 1 : -1]
    return logits.flatten(0, 1).double().numpy()


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_planted_tokens_and_shifts_are_found(constant: float) -> None:
    seen = promotion(planted(constant), TEXTS)
    assert sorted(seen.promoted(4, "rank").tolist()) == PLANTED
    assert sorted(seen.promoted(4, "log_rank").tolist()) == PLANTED
    expected = np.zeros(VOCABULARY)
    expected[PLANTED] = SHIFTS
    assert seen.shift == pytest.approx(expected - expected.mean(), abs=1e-4)
    assert seen.n == 4 * 19


def test_the_same_model_has_no_shift_and_no_rise() -> None:
    seen = promotion(Pair(tiny_model(), tiny_model()), TEXTS)
    for values in (seen.shift, seen.rise("rank"), seen.rise("log_rank")):
        assert (values == 0).all()


@pytest.mark.parametrize("most_positions", [10_000, 20])
def test_means_are_those_of_whole_logits(most_positions: int) -> None:
    pair = Pair(tiny_model(), tiny_model(seed=1))
    assert pair.base is not None
    skip = 4
    every = math.ceil(4 * 16 / most_positions)
    base, tuned = (logits_of(model, skip)[::every] for model in (pair.base, tiny_model(seed=1)))
    ranks = [rankdata(-logits, axis=1) for logits in (base, tuned)]
    for centre in ("mean", "log_softmax"):
        seen = promotion(pair, TEXTS, skip=skip, centre=centre, most_positions=most_positions, batch_size=3)
        zero = np.mean if centre == "mean" else np.logaddexp.reduce
        shift = (tuned - zero(tuned, axis=1)[:, None] - base + zero(base, axis=1)[:, None]).mean(0)
        assert seen.shift == pytest.approx(shift, abs=1e-4)
        assert seen.n == len(base) <= most_positions
        assert seen.base_rank == pytest.approx(ranks[0].mean(0))
        assert seen.tuned_rank == pytest.approx(ranks[1].mean(0))
        assert seen.base_log_rank == pytest.approx(np.log(ranks[0]).mean(0), abs=1e-5)
        assert seen.tuned_log_rank == pytest.approx(np.log(ranks[1]).mean(0), abs=1e-5)


def test_ties_go_to_the_lower_id() -> None:
    assert ranks_of(torch.tensor([[1.0, 3.0, 1.0, 3.0]])).tolist() == [[3, 1, 4, 2]]


# The processor


def test_processor_adds_by_hand() -> None:
    scores = torch.tensor([[1.0, 2.0, 3.0], [0.0, -math.inf, 5.0]])
    out = StaticBias([2, 0], [10.0, -4.0], 0.5)(NO_IDS, scores)
    assert out.tolist() == [[-1, 2, 8], [-2, -math.inf, 10]]
    assert scores[0, 0] == 1  # what was given is left alone


@given(st.lists(st.floats(-1e3, 1e3, width=32), min_size=3, max_size=3))
def test_no_strength_is_no_change(row: list[float]) -> None:
    scores = torch.tensor([row])
    assert torch.equal(StaticBias([0, 2], [3.0, -8.0], 0)(NO_IDS, scores), scores)


def test_whole_planted_shift_makes_the_base_model_write_as_the_tuned_one() -> None:
    pair, tokenizer, contexts = planted(), tiny_tokenizer(), random_ids(3, 6).tolist()
    seen = promotion(pair, TEXTS)
    assert pair.base is not None
    write = partial(continue_contexts, pair.base, tokenizer, contexts, new_tokens=12)
    with pair.side("tuned") as model:
        tuned = continue_contexts(model, tokenizer, contexts, new_tokens=12)
    tokens = seen.promoted(4)
    exact = np.array(SHIFTS)[[PLANTED.index(token) for token in tokens]]
    assert write(processors=[StaticBias(tokens, exact, 1)]) == tuned != write()
    assert write(processors=[StaticBias(tokens, exact, 0)]) == write()
    assert write(processors=[StaticBias(range(VOCABULARY), seen.shift, 1)]) == tuned


def test_every_bad_setting_is_named() -> None:
    with pytest.raises(UserError) as raised:
        StaticBias([1, 1, -2], [1.0, math.nan], math.inf)
    assert len(raised.value.problems) == 4
    with pytest.raises(UserError, match="token 3 is not among the model's 3"):
        StaticBias([3], [1.0], 1)(NO_IDS, torch.zeros(1, 3))


# Rank correlation


def test_correlation_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        alphas, values = rng.permutation(7).astype(float), rng.integers(0, 5, (7, 6)).astype(float)
        assert spearman(alphas, values).value == pytest.approx(spearmanr(alphas, values.mean(1)).statistic)


def test_interval_is_that_of_a_bootstrap_written_out() -> None:
    rng = np.random.default_rng(1)
    alphas = np.arange(6.0)
    values = -alphas[:, None] + rng.normal(0, 8, (6, 12))
    seen = spearman(alphas, values)
    other = np.random.default_rng(9)
    slow = []
    for _ in range(1000):
        chosen = other.integers(12, size=12)
        slow.append(spearmanr(alphas, values[:, chosen].mean(1)).statistic)
    assert seen.low <= seen.value <= seen.high
    assert [seen.low, seen.high] == pytest.approx(np.quantile(slow, [0.025, 0.975]), abs=0.12)
    assert seen.n == 12


def test_certain_and_undefined_correlations() -> None:
    alphas, falling = np.arange(4.0), -np.arange(4.0)[:, None] * np.ones((4, 5))
    assert (spearman(alphas, falling).value, spearman(alphas, falling).high) == pytest.approx((-1, -1))
    falling[2, 3] = math.nan
    assert spearman(alphas, falling).n == 4
    for flat in (np.ones((4, 5)), np.full((4, 5), math.nan)):
        assert math.isnan(spearman(alphas, flat).value)
    assert math.isnan(spearman(alphas[:1], falling[:1]).value)


# The study


def test_biases_are_named_and_controlled() -> None:
    seen = promotion(planted(), TEXTS)
    found = biases(seen, Injection(counts=(2, 4, 5000), control_count=4))
    assert list(found) == ["promoted 2", "promoted 4", "random 4", "all"]
    assert sorted(found["promoted 4"][0].tolist()) == PLANTED
    assert (found["random 4"][1] == found["promoted 4"][1]).all()
    assert len(set(found["random 4"][0].tolist())) == 4
    assert len(found["all"][0]) == VOCABULARY


def test_the_whole_study() -> None:
    counted: list[int] = []
    injection = Injection(alphas=(-1.0, 0.0, 0.5, 1.0, 4.0), counts=(4,), control_count=4)
    found = bias_injection(
        planted(), tiny_tokenizer(), random_ids(3, 110), Continuing(context=6), injection, advance=counted.append
    )
    assert sum(counted) == 3 * (2 + 3 * 4)
    promoted = found.curves["promoted 4"]
    assert promoted.tokens == 4
    assert promoted.diversity[0.0] == found.curves["all"].diversity[0.0]
    assert found.curves["all"].diversity[1.0]["ttr"] == found.hyperfitted["ttr"]
    assert promoted.diversity[4.0]["ttr"].value < promoted.diversity[0.0]["ttr"].value  # four tokens drown the rest
    assert promoted.spearman.value < 0
    assert set(found.promoted[:4]) == {tiny_tokenizer().decode([token]) for token in PLANTED}
    told = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert told["curves"]["random 4"]["spearman"]["n"] == 3
    assert "promoted 4 tokens" in told["sentence"]
    assert END not in PLANTED


def test_injection_names_bad_settings() -> None:
    with pytest.raises(UserError) as raised:
        Injection(alphas=(0.0, math.nan), counts=(0,), control_count=0, most_positions=0)
    assert len(raised.value.problems) == 4
