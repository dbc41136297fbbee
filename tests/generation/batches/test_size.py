"""How many contexts are continued at once: values worked by hand."""

from typing import Any

import pytest
import torch
from transformers import CONFIG_MAPPING, LlamaConfig

from hyperfit.generation.batches import size as memory
from hyperfit.generation.batches.size import MOST, batch_that_fits, bytes_of_text, even_batches, fitting, free_bytes
from hyperfit.generation.decodings import parse_decoding
from tiny_models import TINY, tiny_config, tiny_model

TINYLLAMA = LlamaConfig(
    num_hidden_layers=22, num_attention_heads=32, num_key_value_heads=4, hidden_size=2048, intermediate_size=5632,
    vocab_size=32000,
)  # fmt: skip


def test_bytes_of_a_text_by_hand() -> None:
    """TinyLlama in bf16: 2 x 22 layers x 4 heads x 64 numbers x 256 tokens x 2 bytes are 5.77 MB of cache."""
    needs = bytes_of_text(TINYLLAMA, context=32, new_tokens=224, number_bytes=2)
    cache = 2 * 22 * 4 * 64 * 256 * 2
    assert cache == 5_767_168
    reading = 32 * (4 * 2048 + 3 * 5632 + 32 * 32) * 4
    assert reading == 3_342_336
    assert needs == cache + reading + 32000 * 64
    # an 80 GB card with 75 GB free holds more than are ever taken at once, and a 4 GB card with 1.5 GB free some 60
    assert fitting(needs, 75 * 10**9) == MOST
    assert fitting(needs, 1_500_000_000) == 67


@pytest.mark.parametrize(
    ("needs", "free", "most"), [(10, 0, 1), (10, -5, 1), (10, 19, 1), (10, 40, 2), (10, 59, 2), (1, 10**9, 256)]
)
def test_fitting(needs: int, free: int, most: int) -> None:
    assert fitting(needs, free) == most


@pytest.mark.parametrize(
    ("count", "most", "size"), [(0, 5, 1), (1, 5, 1), (5, 5, 5), (6, 5, 3), (300, 256, 150), (300, 64, 60), (7, 1, 1)]
)
def test_even_batches(count: int, most: int, size: int) -> None:
    assert even_batches(count, most) == size


@pytest.mark.parametrize("family", TINY)
def test_every_family_can_be_counted(family: str) -> None:
    config = tiny_config(family)
    kv_heads = getattr(config, "num_key_value_heads", None) or 4
    needs = bytes_of_text(config.get_text_config(), context=10, new_tokens=20, number_bytes=4)
    assert needs > 2 * 6 * kv_heads * 8 * 30 * 4
    assert needs < 2 * 6 * 4 * 8 * 30 * 4 + 10 * (4 * 32 + 3 * 128 + 4 * 10) * 4 + 300 * 64


@pytest.mark.parametrize("kind", ["mamba", "gemma4_text", "gemma3n_text", "rwkv"])
def test_sizes_that_differ_by_layer_or_are_not_there(kind: str) -> None:
    assert bytes_of_text(CONFIG_MAPPING[kind](), context=10, new_tokens=20, number_bytes=4) > 0


@pytest.mark.parametrize(("spelling", "rows"), [("greedy", 1), ("beam:num_beams=3", 3), ("contrastive", 4)])
def test_rows_side_by_side_count(spelling: str, rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    model: Any = tiny_model()
    needs = bytes_of_text(model.config, context=10, new_tokens=20, number_bytes=4)
    monkeypatch.setattr(memory, "free_bytes", lambda device: 24 * needs)
    assert batch_that_fits(model, 1000, 10, 20, parse_decoding(spelling)) == 12 // rows


def test_this_machine_has_memory() -> None:
    assert free_bytes(torch.device("cpu")) > 2**20
