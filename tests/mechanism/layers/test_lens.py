"""The logit lens: its last point is the model itself; settling and parting against a plain count."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import entropy

from hyperfit.mechanism.layers.capture import EMBEDDING, block_point
from hyperfit.mechanism.layers.lens import Lens, Readout, lens, same_readout
from hyperfit.mechanism.pair.pair import SIDES, Pair
from hyperfit.metrics.predictions.predict import predict
from hyperfit.metrics.predictions.sharpness import sharpness_of
from tiny_models import TINY, random_ids, tiny_model
from tiny_pairs import adapter_pair, same_pair, whole_pair

TEXTS = random_ids(4, 14)


@pytest.mark.parametrize("family", [name for name in TINY if name != "imagegpt"])
def test_the_last_point_is_the_models_own_prediction(family: str) -> None:
    pair = adapter_pair(family)
    found = lens(pair, TEXTS, skip=4, batch_size=3)
    assert found.points == (EMBEDDING, *map(block_point, range(6)))
    for side, readout in zip(SIDES, (found.base, found.tuned), strict=True):
        with pair.side(side) as model:
            read = predict(model, TEXTS, skip=4)
        seen = sharpness_of(read)
        assert (readout.tokens[:, -1] == read.choices[:, 4:]).all()
        assert readout.entropy[:, -1].mean(1) == pytest.approx(seen.entropy, rel=1e-4)
        assert readout.probability[:, -1].mean(1) == pytest.approx(seen.top[1], rel=1e-4)


@pytest.mark.parametrize("pair", [adapter_pair(), whole_pair("gpt2")], ids=["adapter", "whole"])
@pytest.mark.parametrize("index", [0, 3, 5])
def test_a_layer_is_read_by_norm_and_head_of_its_side(pair: Pair, index: int) -> None:
    found, logs = lens(pair, TEXTS), []
    for side, readout in zip(SIDES, (found.base, found.tuned), strict=True):
        with pair.side(side) as model, torch.no_grad():
            inner = model.get_base_model() if hasattr(model, "get_base_model") else model  # type: ignore[operator]
            state = model(input_ids=TEXTS, output_hidden_states=True).hidden_states[index]
            norm = inner.model.norm if hasattr(inner, "model") else inner.transformer.ln_f
            logits = inner.lm_head(norm(state))[:, :-1].double().numpy()
        log = logits - np.logaddexp.reduce(logits, -1, keepdims=True)
        assert (readout.tokens[:, index] == log.argmax(-1)).all()
        assert readout.entropy[:, index] == pytest.approx(entropy(np.exp(log), axis=-1), rel=1e-4)
        assert readout.probability[:, index] == pytest.approx(np.exp(log.max(-1)), rel=1e-4)
        logs.append(log)
    kl = (np.exp(logs[1]) * (logs[1] - logs[0])).sum(-1)
    assert found.divergence[:, index] == pytest.approx(kl, abs=1e-5, rel=1e-3)


def test_a_model_agrees_with_itself() -> None:
    found = lens(same_pair(), TEXTS)
    assert (found.base.tokens == found.tuned.tokens).all()
    assert (found.divergence == 0).all()
    assert (found.parts == len(found.points)).all()
    assert [value.value for value in found.by_point()["agreement"]] == [1] * 7
    assert found.summary()["parted"].value == 0
    assert math.isnan(found.summary()["parts"].value)
    assert "same token at every position" in found.sentence()


def made(base: list[list[int]], tuned: list[list[int]]) -> Lens:
    """One text from (points by positions) tables of likeliest tokens."""

    def readout(table: list[list[int]]) -> Readout:
        tokens = np.array([table])
        return Readout(tokens, np.ones(tokens.shape, np.float32), np.zeros(tokens.shape, np.float32))

    shape = np.array([base]).shape
    points = tuple(f"point {i}" for i in range(shape[1]))
    texts = np.zeros((1, shape[2] + 1), np.int64)
    return Lens(points, texts, 1, readout(base), readout(tuned), np.zeros(shape, np.float32))


def test_settling_and_parting_worked_by_hand() -> None:
    found = made(
        base=[[7, 1, 5], [2, 1, 5], [7, 1, 5], [7, 1, 5]],
        tuned=[[7, 1, 6], [2, 3, 5], [8, 1, 6], [8, 4, 6]],
    )
    assert found.base.first.tolist() == [[0, 0, 0]]
    assert found.base.settles.tolist() == [[2, 0, 0]]
    assert found.tuned.first.tolist() == [[2, 3, 0]]
    assert found.tuned.settles.tolist() == [[2, 3, 2]]
    assert found.parts.tolist() == [[2, 3, 2]]
    summary = found.summary()
    assert summary["parted"].value == 1
    assert summary["parts"].value == pytest.approx(7 / 3)
    assert [value.value for value in found.by_point()["agreement"]] == pytest.approx([2 / 3, 2 / 3, 1 / 3, 0])
    assert "33 % of those part only at the last block" in found.sentence()


def test_positions_that_agree_do_not_part() -> None:
    found = made(base=[[1, 2], [1, 2]], tuned=[[3, 2], [3, 2]])
    assert found.parts.tolist() == [[0, 2]]
    assert found.summary()["parted"].value == 0.5
    assert found.summary()["parts"].value == 0


def test_arrays_and_summaries_have_their_shapes() -> None:
    found = lens(adapter_pair(), TEXTS, skip=3)
    assert found.base.tokens.shape == found.divergence.shape == (4, 7, 11)
    assert (found.divergence[:, :5] == 0).all()  # the shared blocks
    assert (found.divergence >= -1e-6).all()
    settled = [value.value for value in found.by_point()["settled_tuned"]]
    assert settled == sorted(settled)
    assert settled[-1] == 1
    assert (found.tuned.first <= found.tuned.settles).all()
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert plain["positions"] == 11
    assert all(len(values) == 7 for values in plain["by_point"].values())


def test_a_head_that_differs_is_read_on_both_sides() -> None:
    base, tuned = tiny_model(tie_word_embeddings=False), tiny_model(tie_word_embeddings=False)
    assert same_readout(Pair(base, tuned))
    with torch.no_grad():
        tuned.lm_head.weight.mul_(-1)
    pair = Pair(base, tuned)
    assert not same_readout(pair)
    assert pair.shared_blocks == 6
    assert (lens(pair, TEXTS).base.tokens != lens(pair, TEXTS).tuned.tokens).all()


def test_a_projection_before_the_head_is_part_of_reading_out() -> None:
    models = [tiny_model("opt", word_embed_proj_dim=16, seed=seed) for seed in (0, 1)]
    found = lens(Pair(*models), TEXTS)
    with torch.no_grad():
        choices = models[0](input_ids=TEXTS).logits.argmax(-1)[:, :-1]
    assert (found.base.tokens[:, -1] == choices.numpy()).all()
