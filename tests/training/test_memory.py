"""The most memory that training has taken."""

import mmap
import sys
from pathlib import Path

import pytest
import torch

from hyperfit.runs.directory import RunDir
from hyperfit.training.memory import forget_peak, peak_memory
from hyperfit.training.train import train
from small_runs import quiet, recipe_for

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def peak() -> int:
    found = peak_memory(CPU)
    assert found is not None
    return found


def test_a_peak_is_seen_and_forgotten() -> None:
    """Pages asked of the system: what an allocator has kept from before might be used again and show no peak."""
    forget_peak(CPU)
    before, size = peak(), 200_000_000
    with mmap.mmap(-1, size) as pages:
        pages[::4096] = b"1" * len(range(0, size, 4096))
    assert peak() - before > 190e6
    forget_peak(CPU)
    assert peak() - before < 100e6


def test_what_an_earlier_training_has_freed_is_not_counted() -> None:
    """Blocks of a size that the allocator keeps for the next one, and does not give back by itself."""
    forget_peak(CPU)
    before = peak()
    held = [torch.ones(16_000) for _ in range(4_000)]  # 256 MB
    last = torch.ones(16_000)  # behind them: what is freed lies below, and stays
    del held
    forget_peak(CPU)
    assert last.sum() == 16_000
    assert peak() - before < 100e6


def test_every_epoch_tells_its_peak(world: tuple[str, str], tmp_path: Path) -> None:
    train(recipe_for(world, epochs=2), tmp_path / "run", notify=quiet)
    first, *epochs = RunDir.open(tmp_path / "run").events("epoch")
    assert "peak_memory" not in first, "nothing is trained before the first epoch"
    assert len(epochs) == 2
    for event in epochs:
        assert 50e6 < event["peak_memory"] < 64e9
