"""Whole runs with a prefix cache, without, and streaming: the same weights; a cache that is wrong is found out."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.disk import store
from hyperfit.training.train import train
from small_runs import assert_same, events, quiet, recipe_for, weights
from tiny_models import GROUPED, save_tiny


@pytest.mark.parametrize("method", ["late-lora", "late-full"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_runs_with_without_and_streaming_end_the_same(
    world: tuple[str, str], tmp_path: Path, precision: str, method: str
) -> None:
    said: list[str] = []
    recipe = recipe_for(world, method=method, precision=precision, probe_texts=3)
    with_it = train(recipe, tmp_path / "with", prefix_cache="required", notify=said.append)
    without = train(recipe, tmp_path / "without", prefix_cache="off", notify=said.append)
    streamed = train(recipe, tmp_path / "streamed", streaming=True, notify=said.append)
    assert_same(with_it.path, without.path)
    assert_same(with_it.path, streamed.path)
    assert events(with_it.path) == events(without.path)
    predictions = ("train_loss", "val_loss", "entropy")
    for one, two in zip(with_it.events("epoch"), streamed.events("epoch"), strict=True):
        assert [one[name] for name in predictions] == [two[name] for name in predictions]
        assert one["val_loss"] is not None
        assert "ttr" in one
        assert "ttr" not in two
    assert with_it.environment["prefix_cache"]["blocks"] == 4
    assert without.environment["prefix_cache"] is None
    text = "\n".join(said)
    assert "prefix cache: blocks 0–3 over 14 sequences" in text
    assert "prefix cache: saved about" in text
    assert "--streaming: no greedy text in the probes" in text
    assert len(store.entries(tmp_path / store.FOLDER)) == 1, "all three share one"


def test_rank_and_rate_share_a_cache(world: tuple[str, str], tmp_path: Path) -> None:
    for number, changes in enumerate(({}, {"rank": 2}, {"lr": 1e-3}, {"epochs": 1})):
        train(
            recipe_for(world, **changes),
            tmp_path / "runs" / str(number),
            cache_dir=tmp_path / "caches",
            notify=lambda line: None,
        )
    assert len(store.entries(tmp_path / "caches")) == 1
    assert not (tmp_path / "runs" / store.FOLDER).exists()


def test_a_run_that_cannot_be_cached_says_why_and_goes_on(world: tuple[str, str], tmp_path: Path) -> None:
    said: list[str] = []
    run = train(recipe_for(world, method="full", epochs=1), tmp_path / "full", notify=said.append)
    assert run.end
    assert "no prefix cache: the first block learns, so there is nothing below it to store" in said
    with pytest.raises(UserError, match="--prefix-cache required: the first block learns"):
        train(recipe_for(world, method="lora"), tmp_path / "lora", prefix_cache="required", notify=said.append)
    assert not (tmp_path / "lora").exists()


@pytest.fixture
def mixture(world: tuple[str, str], tmp_path: Path) -> tuple[str, str]:
    """A tiny mixture of four experts, of which each token is sent to two, and the texts of ``world``."""
    save_tiny(tmp_path / "mixture", "mixtral", **GROUPED, num_local_experts=4, num_experts_per_tok=2)
    return str(tmp_path / "mixture"), world[1]


def test_a_mixture_whose_experts_compute_apart_trains_the_same_with_a_cache(
    mixture: tuple[str, str], tmp_path: Path
) -> None:
    recipe = recipe_for(mixture)
    with_it = train(recipe, tmp_path / "with", prefix_cache="required", notify=quiet)
    without = train(recipe, tmp_path / "without", prefix_cache="off", notify=quiet)
    assert_same(with_it.path, without.path)
    assert events(with_it.path) == events(without.path)
    assert any("experts" in name for name in weights(with_it.path)), "they learn"


def test_a_mixture_too_large_for_that_is_not_cached(
    mixture: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gathered by 4 texts of 16 tokens, each for two experts in six blocks: 64 * 2 * 6 * (128 + 64) * 32 floats."""
    needs = 64 * 2 * 6 * (128 + 64) * 32 * 4
    reason = "experts compute the texts of a batch together, so that states depend on it in their last bits"
    said: list[str] = []
    monkeypatch.setattr("hyperfit.models.structure.experts.memory_of", lambda device: 8 * needs - 8)
    with pytest.raises(UserError, match=f"^--prefix-cache required: {reason}$"):
        train(recipe_for(mixture), tmp_path / "required", prefix_cache="required", notify=said.append)
    assert not (tmp_path / "required").exists()
    assert train(recipe_for(mixture, epochs=1), tmp_path / "auto", notify=said.append).end
    assert f"no prefix cache: {reason}" in said
    assert not store.entries(tmp_path / store.FOLDER)
    monkeypatch.setattr("hyperfit.models.structure.experts.memory_of", lambda device: 8 * needs)
    train(recipe_for(mixture, epochs=1), tmp_path / "just", prefix_cache="required", notify=said.append)


def test_a_cache_that_is_wrong_is_found_out_on_the_first_batch(
    world: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A state off by one bit: the run says so, computes everything, and ends as without."""
    plain = train(recipe_for(world), tmp_path / "plain", prefix_cache="off", notify=lambda line: None)
    real = PrefixCache.find

    def off_by_a_bit(self: PrefixCache, given: dict[str, Any]) -> Tensor | None:
        states = real(self, given)
        if states is not None:
            states.view(torch.int32)[0, -2, 0] ^= 1
        return states

    monkeypatch.setattr(PrefixCache, "find", off_by_a_bit)
    said: list[str] = []
    run = train(recipe_for(world), tmp_path / "wrong", notify=said.append)
    assert any("loss and gradients of the first batch are not bit for bit" in line for line in said)
    assert_same(plain.path, run.path)
    with pytest.raises(UserError, match=r"--prefix-cache required: .*not bit for bit"):
        train(recipe_for(world), tmp_path / "required", prefix_cache="required", notify=said.append)


@pytest.fixture
def compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the other tests do without (conftest.py)."""
    monkeypatch.delenv("TORCHDYNAMO_DISABLE")


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
@pytest.mark.filterwarnings("ignore:.*torch.jit.script_method:DeprecationWarning")  # inside the compiler
def test_compiled_blocks_train_the_same_with_and_without(
    world: tuple[str, str], tmp_path: Path, compiler: None
) -> None:
    said: list[str] = []
    plain = train(recipe_for(world, epochs=1), tmp_path / "plain", notify=said.append)
    with_it = train(
        recipe_for(world, epochs=1, compile=True), tmp_path / "with", prefix_cache="required", notify=said.append
    )
    without = train(
        recipe_for(world, epochs=1, compile=True), tmp_path / "without", prefix_cache="off", notify=said.append
    )
    assert_same(with_it.path, without.path)
    assert said.count("compiling 2 blocks; this can take a minute") == 2
    eager = weights(plain.path)
    for name, tensor in weights(with_it.path).items():
        torch.testing.assert_close(tensor, eager[name], rtol=1e-3, atol=1e-4)


def test_a_machine_that_cannot_compile_is_told_so(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compiler: None
) -> None:
    def broken(graph: object, inputs: object) -> Callable[..., object]:
        raise RuntimeError("no compiler here")

    real = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **how: real(self, backend=broken, **how))
    with pytest.raises(UserError, match=r"--compile: the blocks cannot be compiled on this machine.*leave it out"):
        train(recipe_for(world, compile=True), tmp_path / "run", notify=lambda line: None)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("changes", "flags", "problem"),
    [
        ({"method": "lora"}, {"streaming": True}, "--streaming: needs frozen blocks"),
        ({"method": "full"}, {"streaming": True}, "--streaming: needs frozen blocks"),
        ({}, {"streaming": True, "prefix_cache": "off"}, "--streaming: needs frozen blocks and their cache"),
        ({}, {"prefix_cache": "sometimes"}, "--prefix-cache sometimes: give one of auto, off, required"),
    ],
)
def test_flags_that_do_not_go_together(
    world: tuple[str, str],
    tmp_path: Path,
    changes: dict[str, Any],
    flags: dict[str, Any],
    problem: str,
) -> None:
    with pytest.raises(UserError, match=problem):
        train(recipe_for(world, **changes), tmp_path / "run", notify=lambda line: None, **flags)
    assert not (tmp_path / "run").exists()
