"""How many positions a chunk of logits holds."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import hyperfit.models.devices as module
from hyperfit.models.devices import memory_of, positions_at_once

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GB = 10**9


@pytest.fixture(autouse=True)
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Say how much memory the device has."""

    def has(size: int) -> None:
        monkeypatch.setattr(module, "memory_of", lambda device: size)

    has(64 * GB)
    return has


@pytest.mark.parametrize(
    ("vocabulary", "frozen", "learning"),
    [(1024, 4096, 4096), (32768, 128, 256), (49152, 128, 256), (262144, 128, 256)],
)
def test_as_many_positions_as_outweigh_the_head(vocabulary: int, frozen: int, learning: int) -> None:
    """2^22 logits of a small vocabulary; of a large one, what the products are worth."""
    assert positions_at_once(vocabulary, CPU) == frozen
    assert positions_at_once(vocabulary, CPU, learns=True) == learning
    assert positions_at_once(vocabulary, GPU, learns=True) >= learning


def test_the_logits_stay_within_a_share_of_the_memory(memory: Any) -> None:
    """A sixteenth of 2^33 bytes is 2^29, and a position of 2^18 tokens takes 2^22: at most 128 of them."""
    memory(2**33)
    assert positions_at_once(2**18, CPU, learns=True) == 128
    assert positions_at_once(2**18, GPU, learns=True) == 128
    memory(2**20)
    assert positions_at_once(2**18, CPU) == 1


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.booleans())
def test_a_larger_vocabulary_never_has_more_positions(one: int, other: int, learns: bool) -> None:
    few, many = sorted((one, other))
    sizes = [positions_at_once(vocabulary, CPU, learns=learns) for vocabulary in (few, many)]
    assert sizes[0] >= sizes[1] >= 1


def test_this_machine_has_memory() -> None:
    assert memory_of(CPU) > 2**28
