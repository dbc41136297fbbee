"""Sharpness: against the loss of transformers, the entropy of scipy, and sums written out."""

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import entropy
from torch import nn
from transformers import PreTrainedModel

from hyperfit.metrics.estimate import estimate
from hyperfit.metrics.predictions.predict import predict
from hyperfit.metrics.predictions.sharpness import sharpness, sharpness_of
from tiny_models import VOCABULARY, cast, random_ids, tiny_model

TEXTS = random_ids(5, 20)


def uniform_model() -> PreTrainedModel:
    model = tiny_model()
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    nn.init.zeros_(head.weight)
    return model


@torch.no_grad()
def probabilities(model: PreTrainedModel, text: torch.Tensor) -> NDArray[np.float64]:
    """float64[length, vocabulary]: what the model expects after each token of one text."""
    logits = model(input_ids=text[None], use_cache=False).logits[0].double().numpy()
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


@pytest.mark.parametrize("family", ["llama", "gemma2", "gpt2"])
@pytest.mark.parametrize("skip", [1, 7, 19])
def test_loss_is_that_of_transformers(family: str, skip: int) -> None:
    model = tiny_model(family)
    seen = sharpness(model, TEXTS, skip=skip)
    labels = TEXTS.clone()
    labels[:, :skip] = -100
    with torch.no_grad():
        losses = [
            float(model(input_ids=text[None], labels=label[None]).loss)
            for text, label in zip(TEXTS, labels, strict=True)
        ]
        together = float(model(input_ids=TEXTS, labels=labels).loss)
    assert seen.loss == pytest.approx(losses, rel=1e-5)
    assert seen.loss.mean() == pytest.approx(together, rel=1e-5)


@pytest.mark.parametrize("skip", [1, 4])
def test_everything_agrees_with_sums_written_out(skip: int) -> None:
    model = tiny_model()
    seen = sharpness(model, TEXTS, skip=skip)
    for index, text in enumerate(TEXTS):
        expected = probabilities(model, text)
        positions = range(skip - 1, len(text) - 1)  # the places from which tokens skip to the last are predicted
        losses, entropies = [], []
        for place in positions:
            p = expected[place]
            losses.append(-math.log(p[text[place + 1]]))
            entropies.append(-sum(x * math.log(x) for x in p.tolist() if x > 0))
        assert seen.loss[index] == pytest.approx(np.mean(losses), rel=1e-5)
        assert seen.entropy[index] == pytest.approx(np.mean(entropies), rel=1e-5)
        assert seen.entropy[index] == pytest.approx(entropy(expected[list(positions)], axis=1).mean(), rel=1e-5)
        for k in (1, 3, 5):
            best = [sum(sorted(expected[place], reverse=True)[:k]) for place in positions]
            assert seen.top[k][index] == pytest.approx(np.mean(best), rel=1e-5)
        right = [expected[place].argmax() == text[place + 1] for place in positions]
        assert seen.accuracy[index] == pytest.approx(np.mean(right))


def test_shapes_and_ranges() -> None:
    seen = sharpness(tiny_model(), TEXTS, skip=6)
    assert seen.loss.shape == seen.entropy.shape == (5,)
    assert seen.accuracy.shape == (5,)
    assert list(seen.top) == [1, 3, 5]
    assert ((seen.entropy >= 0) & (seen.entropy <= math.log(VOCABULARY))).all()
    assert ((seen.top[1] > 0) & (seen.top[1] < seen.top[3]) & (seen.top[3] < seen.top[5]) & (seen.top[5] < 1)).all()


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_batch_size_does_not_matter(batch_size: int) -> None:
    model = tiny_model()
    done: list[int] = []
    one, other = sharpness(model, TEXTS), sharpness(model, TEXTS, batch_size=batch_size, advance=done.append)
    assert other.loss == pytest.approx(one.loss, rel=1e-5)
    assert other.entropy == pytest.approx(one.entropy, rel=1e-5)
    for k in (1, 3, 5):
        assert other.top[k] == pytest.approx(one.top[k], rel=1e-5)
    assert other.accuracy.tolist() == one.accuracy.tolist()
    assert sum(done) == len(TEXTS)


def test_uniform_model_is_as_unsure_as_can_be() -> None:
    seen = sharpness(uniform_model(), TEXTS)
    assert seen.loss == pytest.approx(math.log(VOCABULARY), rel=1e-6)
    assert seen.entropy == pytest.approx(math.log(VOCABULARY), rel=1e-6)
    for k in (1, 3, 5):
        assert seen.top[k] == pytest.approx(k / VOCABULARY, rel=1e-6)


def test_certain_model_has_no_entropy_rather_than_nan() -> None:
    model = tiny_model("phi")
    head = model.get_output_embeddings()
    assert isinstance(head, nn.Linear)
    head.bias.data[7] = 1e4
    head.bias.data[8] = -math.inf
    seen = sharpness(model, torch.full((2, 9), 7))
    assert seen.loss.tolist() == seen.entropy.tolist() == [0, 0]
    assert seen.top[1].tolist() == [1, 1]
    assert seen.accuracy.tolist() == [1, 1]


def test_bf16_logits_are_measured_in_fp32() -> None:
    model = cast(tiny_model(), torch.bfloat16)
    seen = sharpness(model, TEXTS)
    expected = [-np.log(probabilities(model, text)[np.arange(19), text[1:]]).mean() for text in TEXTS]
    assert seen.loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training: bool) -> None:
    model = tiny_model("gpt2").train(training)  # it has dropout
    seen = sharpness(model, TEXTS)
    assert all(module.training == training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert (sharpness(model.eval(), TEXTS).loss == seen.loss).all()


def test_contexts_and_continuations_are_parts_of_one_text() -> None:
    model, length, context = tiny_model(), 20, [4, 9, 1, 19, 12]
    whole, before, after = (
        sharpness(model, TEXTS),
        sharpness(model, TEXTS, until=context),
        sharpness(model, TEXTS, skip=context),
    )
    counts = np.array(context) - 1
    total = np.where(counts > 0, before.loss * counts, 0) + after.loss * (length - 1 - counts)
    assert total == pytest.approx(whole.loss * (length - 1), rel=1e-5)
    assert np.isnan(before.loss).tolist() == [False, False, True, False, False]  # a context of one token
    assert sharpness_of(predict(model, TEXTS).part(skip=context)).entropy == pytest.approx(after.entropy, rel=1e-5)


def test_continuations_that_end_early() -> None:
    model = tiny_model()
    texts = [text[:length] for text, length in zip(TEXTS.tolist(), (20, 13, 7, 6, 0), strict=True)]
    seen = sharpness(model, texts, skip=6)
    for index, text in enumerate(texts[:3]):
        alone = sharpness(model, torch.tensor([text]), skip=6)
        assert seen.loss[index] == pytest.approx(alone.loss[0], rel=1e-5)
        assert seen.top[3][index] == pytest.approx(alone.top[3][0], rel=1e-5)
    for values in (seen.loss, seen.entropy, *seen.top.values(), seen.accuracy):
        assert np.isnan(values).tolist() == [False, False, False, True, True]
    assert seen.estimates()["entropy"].n == 3


def test_estimates_are_over_texts() -> None:
    seen = sharpness(tiny_model(), TEXTS)
    found = seen.estimates()
    assert list(found) == ["perplexity", "entropy", "top1_mass", "top3_mass", "top5_mass"]
    assert found["perplexity"].value == pytest.approx(math.exp(seen.loss.mean()))
    assert found["perplexity"].low < found["perplexity"].value < found["perplexity"].high
    assert found["top3_mass"] == estimate(seen.top[3])
    assert all(one.n == 5 for one in found.values())
