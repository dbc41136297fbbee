"""What an engine is asked for, by a stand-in for vLLM."""

from pathlib import Path

import pytest

from hyperfit.generation.decodings import parse_decoding
from hyperfit.generation.vllm.engine import RANKS, Asked, Engine, write_texts
from stand_in_vllm import install
from tiny_models import END, random_ids, save_tiny


def test_samples_depend_on_seed_context_and_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)
    model = Engine(model=str(save_tiny(tmp_path / "model")), precision="fp32")
    one, other = random_ids(2, 6).tolist()

    def drawn(*contexts: list[int], seed: int = 0) -> list[list[int]]:
        wild = {"a": Asked(parse_decoding("top-k:temperature=2"), adapted=False)}
        return write_texts(model, wild, contexts, new_tokens=9, ends=[END], seed=seed)["a"]

    first, second, third = drawn(one, other, one)
    assert drawn(other, one, one) == [second, first, third], "whatever stands beside it"
    assert len({*map(tuple, (first, second, third, *drawn(one, seed=1)))}) == 4
    assert END not in first + second + third


def test_the_rank_is_the_next_that_vllm_takes(tmp_path: Path) -> None:
    def most(rank: int) -> int:
        engine = Engine(model="m", precision="bf16", adapter=tmp_path, rank=rank)
        return int(engine.settings(64)["max_lora_rank"])

    assert [most(rank) for rank in (1, 8, 9, 64, 100, 300, 512)] == [8, 8, 16, 64, 128, 320, 512]
    assert [most(rank) for rank in RANKS] == [*RANKS]
    plain = Engine(model="m", precision="fp32", rank=64).settings(64)
    assert plain == {"model": "m", "dtype": "float32", "max_model_len": 64}
