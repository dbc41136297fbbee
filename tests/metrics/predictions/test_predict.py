"""Predictions: read in pieces they are those of the whole logits; each at its place; through caches and adapters."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel

import hyperfit.metrics.predictions.predict as module
from hyperfit.metrics.predictions.predict import (
    Predictions,
    Reader,
    counted,
    entropy_of,
    predict,
    text_means,
    without_adapter,
)
from hyperfit.models.loading import quiet
from hyperfit.models.structure.layout import blocks_of, layout_of
from hyperfit.prefix.cache_prefix import cache_prefix
from tiny_models import TINY, VOCABULARY, random_ids, tiny_model

TEXTS = random_ids(5, 24)
RAGGED = [text[:length] for text, length in zip(TEXTS.tolist(), (24, 1, 9, 0, 17), strict=True)]


@torch.no_grad()
def log_probabilities(model: PreTrainedModel | PeftModel, text: list[int]) -> NDArray[np.float64]:
    """float64[length, vocabulary]: from the whole logits of one text alone."""
    logits = model(input_ids=torch.tensor([text]), use_cache=False).logits[0].double().numpy()
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(logits - np.log(np.exp(logits).sum(axis=1, keepdims=True)))


def slowly(model: PreTrainedModel | PeftModel, texts: list[list[int]]) -> Predictions:
    """One text and one position after the other."""
    longest = max(map(len, texts))
    loss, entropy, hit, one, three, five = (np.full((len(texts), longest), np.nan) for _ in range(6))
    choices = np.full((len(texts), longest), -1)
    for row, text in enumerate(texts):
        if len(text) < 2:
            continue
        table = log_probabilities(model, text)
        for t in range(1, len(text)):
            p = np.exp(table[t - 1])
            loss[row, t] = -table[t - 1, text[t]]
            entropy[row, t] = -sum(x * np.log(x) for x in p if x > 0)
            best = sorted(p, reverse=True)
            one[row, t], three[row, t], five[row, t] = best[0], sum(best[:3]), sum(best[:5])
            choices[row, t] = p.argmax()
            hit[row, t] = p.argmax() == text[t]
    return Predictions(loss, entropy, {1: one, 3: three, 5: five}, hit, choices)


def assert_alike(found: Predictions, expected: Predictions, rel: float = 2e-5) -> None:
    np.testing.assert_allclose(found.loss, expected.loss, rtol=rel, atol=1e-6)
    np.testing.assert_allclose(found.entropy, expected.entropy, rtol=rel, atol=1e-6)
    for k, mass in expected.mass.items():
        np.testing.assert_allclose(found.mass[k], mass, rtol=rel)
    np.testing.assert_array_equal(found.hit, expected.hit)
    np.testing.assert_array_equal(found.choices, expected.choices)


@pytest.mark.parametrize("family", TINY)
def test_pieces_of_ragged_texts_are_the_whole_logits(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model(family)
    monkeypatch.setattr(module, "positions_at_once", lambda *given: 7)
    assert_alike(predict(model, RAGGED, batch_size=3), slowly(model, RAGGED))


def test_no_more_logits_are_made_than_may_be_and_none_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny_model("gemma2")
    layout_of(model)  # found by a pass of its own
    sizes: list[int] = []
    model.get_output_embeddings().register_forward_hook(lambda layer, given, made: sizes.append(made.numel()))
    monkeypatch.setattr(module, "positions_at_once", lambda *given: 5)
    predict(model, TEXTS, skip=3, until=20)
    assert max(sizes) == 5 * VOCABULARY
    assert sum(sizes) == 5 * 17 * VOCABULARY


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_batch_size_does_not_matter(batch_size: int) -> None:
    done: list[int] = []
    model = tiny_model()
    assert_alike(predict(model, RAGGED, batch_size=batch_size, advance=done.append), predict(model, RAGGED))
    assert sum(done) == len(RAGGED)


def test_a_tensor_is_its_rows() -> None:
    model = tiny_model()
    assert_alike(predict(model, TEXTS), predict(model, TEXTS.tolist()), rel=0)


def test_a_part_of_a_reading_is_a_reading_of_the_part() -> None:
    model = tiny_model()
    whole, skip, until = predict(model, RAGGED), [2, 1, 5, 1, 16], [9, 9, 9, 9, 99]
    assert_alike(whole.part(skip, until), predict(model, RAGGED, skip=skip, until=until))
    assert_alike(whole.part(skip=6), predict(model, RAGGED, skip=6))
    assert_alike(whole.part(until=6), predict(model, RAGGED, until=6))


def test_texts_too_short_to_predict_anything() -> None:
    seen = predict(tiny_model(), [[], [5], []])
    assert seen.loss.shape == (3, 1)
    assert np.isnan(seen.loss).all()
    assert (seen.choices == -1).all()
    assert predict(tiny_model(), []).loss.shape == (0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(1, 8), st.integers(0, 8)), max_size=5),
)
def test_counted_positions(texts: list[tuple[int, int, int]]) -> None:
    lengths, skip, until = ([text[part] for text in texts] for part in range(3))
    found = counted(lengths, skip, until)
    assert found.shape == (len(texts), max(lengths, default=0))
    for row, (length, first, last) in enumerate(texts):
        assert np.flatnonzero(found[row]).tolist() == [t for t in range(length) if first <= t < last]
    open_ended = counted(lengths, skip, None)
    assert open_ended.sum() == sum(max(0, length - first) for length, first, _ in texts)


@pytest.mark.parametrize("skip", [0, -1, [1, 0, 1, 1, 1]])
def test_the_first_token_cannot_be_predicted(skip: int | list[int]) -> None:
    with pytest.raises(ValueError, match="nothing to predict it from"):
        predict(tiny_model(), TEXTS, skip=skip)
    with pytest.raises(ValueError, match="nothing to predict it from"):
        predict(tiny_model(), TEXTS).part(skip)


def test_bounds_are_one_or_one_a_text() -> None:
    with pytest.raises(ValueError, match="shape"):
        counted([3, 3, 3], [1, 1], None)


@given(st.lists(st.lists(st.one_of(st.floats(-9, 9), st.just(np.nan)), min_size=4, max_size=4), max_size=4))
def test_means_over_what_is_there(rows: list[list[float]]) -> None:
    found = text_means(np.array(rows).reshape(len(rows), 4))
    for mean, row in zip(found, rows, strict=True):
        there = [value for value in row if value == value]
        assert mean == pytest.approx(sum(there) / len(there) if there else np.nan, nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("training", [True, False])
def test_model_is_left_as_it_was(training: bool) -> None:
    model = tiny_model("gpt2").train(training)  # it has dropout
    seen = predict(model, TEXTS)
    assert all(part.training == training for part in model.modules())
    assert torch.is_grad_enabled()
    assert_alike(predict(model.eval(), TEXTS), seen, rel=0)


def test_the_prefix_cache_serves_what_is_read_whole(tmp_path: Path) -> None:
    model = tiny_model().requires_grad_(False)
    blocks_of(model)[-1].requires_grad_(True)
    before = predict(model, TEXTS, batch_size=5)
    cache = cache_prefix(model, TEXTS, tmp_path, batch_size=5, notify=lambda line: None)
    assert_alike(predict(model, TEXTS, batch_size=5), before, rel=0)
    assert cache.served == 1
    other = [[*text[:-1], 1 + text[-1] % 256] for text in TEXTS.tolist()]
    assert_alike(predict(model, other), slowly(model, other))
    assert cache.served == 1


def adapted(model: PreTrainedModel, *, trainable: bool) -> PeftModel:
    """With LoRA in the attention and on the head, that changes what it predicts."""
    config = LoraConfig(r=2, target_modules=["q_proj", "lm_head"], init_lora_weights=False)
    with torch.random.fork_rng(devices=[]), quiet():
        torch.manual_seed(3)
        wrapped = get_peft_model(model, config)
    assert isinstance(wrapped, PeftModel)
    return wrapped.requires_grad_(trainable)


@pytest.mark.parametrize("trainable", [True, False])
def test_one_model_is_read_with_and_without_its_adapter(trainable: bool) -> None:
    alone = predict(tiny_model(), TEXTS)
    model = adapted(tiny_model(), trainable=trainable)
    tuned = predict(model, TEXTS)
    assert_alike(tuned, slowly(model, TEXTS.tolist()))
    assert (tuned.choices != alone.choices).mean() > 0.3
    assert_alike(predict(without_adapter(model), TEXTS), alone, rel=0)
    assert all(parameter.requires_grad == trainable for parameter in model.parameters())
    assert_alike(predict(model, TEXTS), tuned, rel=0)


def test_a_reader_stays_itself() -> None:
    reader = Reader(tiny_model())
    assert Reader.of(reader) is reader
    assert Reader.of(reader.model).model is reader.model


def test_entropy_by_hand() -> None:
    p = torch.tensor([[0.5, 0.25, 0.25, 0.0], [1.0, 0.0, 0.0, 0.0], [torch.nan, 0.5, 0.5, 0.0]])
    log_p = p.log()
    halves, sure, broken = entropy_of(p, log_p).tolist()
    assert halves == pytest.approx(1.5 * np.log(2))
    assert sure == 0
    assert np.isnan(broken), "a broken model has no entropy, rather than one of what is left"
    assert log_p[0, 3] == -torch.inf, "what is given stays as it is"
