"""Unlikelihood: by hand, against a plain slow version, and as a training; without it, not a bit changes."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import hyperfit.training.loss
from hyperfit.cli import main
from hyperfit.models.devices import autocast
from hyperfit.models.structure.layout import inner_model
from hyperfit.runs.directory import RunDir
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import train
from hyperfit.training.unlikelihood import first_times, unlikelihood
from small_runs import assert_same, events, quiet, recipe_for, weights
from tiny_models import random_ids, tiny_model

CPU = torch.device("cpu")
REPEATING = torch.tensor([[5, 7, 5, 9, 7, 7, 3], [2, 2, 2, 2, 4, 2, 4]])


def slow(logits: Tensor, ids: Tensor) -> Tensor:
    """Welleck et al. (2020), equation 6, position by position. logits: [texts, length - 1, vocabulary]."""
    total = torch.zeros(())
    for text, row in zip(logits.softmax(-1), ids.tolist(), strict=True):
        for place, likely in enumerate(text):
            for token in {*row[: place + 1]} - {row[place + 1]}:
                total = total - torch.log(1 - likely[token])
    return total


def test_by_hand() -> None:
    """Three tokens, after 0 1 0: p = .5 .25 .25 before each; candidates 0; 1 without 0; 0 and 1."""
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]] * 3))
    ids = torch.tensor([[0, 1, 0, 2]])
    found = unlikelihood(logits, ids, first_times(ids), torch.arange(3))
    assert found.item() == pytest.approx(-math.log(0.5) - math.log(0.75) - math.log(0.5) - math.log(0.75))
    last = unlikelihood(logits[2:], ids, first_times(ids), torch.tensor([2]))
    assert last.item() == pytest.approx(-math.log(0.5) - math.log(0.75)), "of a chunk"


def test_a_token_that_only_follows_itself_costs_nothing() -> None:
    ids = torch.tensor([[4, 4, 4, 4]])
    assert unlikelihood(torch.randn(3, 9), ids, first_times(ids), torch.arange(3)).item() == 0


def test_it_stays_finite_where_a_token_to_avoid_is_certain() -> None:
    logits = torch.tensor([[100.0, 0.0, 0.0]], requires_grad=True)
    ids = torch.tensor([[0, 1]])
    found = unlikelihood(logits, ids, first_times(ids), torch.arange(1))
    found.backward()
    assert found.item() == pytest.approx(-math.log(1e-5), rel=1e-2)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma2"])
@pytest.mark.parametrize("count", [None, 1])
def test_loss_and_gradients_are_those_of_a_plain_version(
    family: str, count: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hyperfit.training.loss, "positions_at_once", lambda *given, learns: 4)
    one, two = (tiny_model(family).requires_grad_(True) for _ in range(2))
    logits = one(input_ids=REPEATING, use_cache=False).logits[:count, :-1]
    plain = F.cross_entropy(logits.flatten(0, 1), REPEATING[:count, 1:].flatten(), reduction="sum")
    whole = (plain + 0.5 * slow(logits, REPEATING[:count])) * 0.125
    whole.backward()
    loss, part = SequenceLoss(two, lambda: autocast(CPU, "fp32"), 0.5)(REPEATING, count, 0.125)
    part.backward()
    assert loss.item() == pytest.approx(plain.item(), rel=1e-5), "what is told is the cross-entropy alone"
    assert part.item() == pytest.approx(whole.item(), rel=1e-5)
    assert part.item() > loss.item() * 0.125
    for (name, parameter), other in zip(one.named_parameters(), two.parameters(), strict=True):
        assert parameter.grad is not None, name
        assert other.grad is not None, name
        scale = float(parameter.grad.abs().max())
        torch.testing.assert_close(other.grad, parameter.grad, rtol=1e-4, atol=1e-5 * scale + 1e-6, msg=name)


def test_with_weight_0_loss_and_gradients_are_the_same_bits() -> None:
    """As the plain chunked cross-entropy, written out, gives them."""
    model, ids = tiny_model().requires_grad_(True), random_ids(3, 20, seed=1)
    loss, part = SequenceLoss(model, lambda: autocast(CPU, "fp32"), 0.0)(ids, share=0.1)
    part.backward()
    other = tiny_model().requires_grad_(True)
    hidden = inner_model(other).base_model(input_ids=ids, use_cache=False)[0][:, :-1].flatten(0, 1)
    plain = F.cross_entropy(other.get_output_embeddings()(hidden).float(), ids[:, 1:].flatten(), reduction="sum")
    (plain * 0.1).backward()
    assert torch.equal(loss, plain)
    assert torch.equal(part, plain * 0.1)
    for parameter, expected in zip(model.parameters(), other.parameters(), strict=True):
        assert parameter.grad is not None
        assert expected.grad is not None
        assert torch.equal(parameter.grad, expected.grad)


def test_a_training_with_it_tells_the_plain_loss_and_ends_elsewhere(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, epochs=1, batch_size=64)  # one update: the loss of the model as it was
    plain = train(recipe, tmp_path / "plain", notify=quiet)
    common = ["--data", world[1], "--length", "16", "--batch-size", "64", "--epochs", "1", "--lr", "1e-2"]
    common += ["--late-blocks", "2", "--rank", "4", "--probe-texts", "2", "--stop-loss", "None", "--precision", "fp32"]
    main(["train", world[0], *common, "--device", "cpu", "--unlikelihood", "1", "-o", str(tmp_path / "run")])
    run = RunDir(tmp_path / "run")
    assert run.recipe.unlikelihood == 1.0
    assert run.events("epoch")[1]["train_loss"] == plain.events("epoch")[1]["train_loss"]
    assert any(not torch.equal(weight, weights(plain.path)[name]) for name, weight in weights(run.path).items())


def test_with_and_without_the_prefix_cache_it_ends_the_same(world: tuple[str, str], tmp_path: Path) -> None:
    recipe = recipe_for(world, unlikelihood=1.0)
    for mode in ("required", "off"):
        train(recipe, tmp_path / mode, prefix_cache=mode, notify=quiet)  # type: ignore[arg-type]
    train(recipe, tmp_path / "streamed", streaming=True, notify=quiet)
    assert_same(tmp_path / "required", tmp_path / "off")
    assert_same(tmp_path / "required", tmp_path / "streamed")
    told = [[row.get("train_loss") for row in events(tmp_path / mode)] for mode in ("required", "off", "streamed")]
    assert told[0] == told[1] == told[2]
