"""vLLM itself, where it is installed beside a GPU: its greedy texts are those of transformers, but for rounding."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from hyperfit.evaluation.evaluate import evaluate
from hyperfit.runs.directory import RunDir
from hyperfit.training.train import train
from small_evaluations import settings_for
from small_runs import recipe_for, write_texts

pytestmark = [
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed"),
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.filterwarnings("default"),  # its own
]


def continuations(file: Path) -> list[str]:
    return [json.loads(line)["continuation"] for line in file.read_text().splitlines()]


@pytest.mark.parametrize(("method", "precision"), [("late-lora", "bf16"), ("full", "fp32")])
def test_most_greedy_tokens_are_the_same(method: str, precision: str, smollm2: Path, tmp_path: Path) -> None:
    data = write_texts(tmp_path / "texts.jsonl", 20, 0)
    write_texts(tmp_path / "others.jsonl", 24, 100)
    recipe = recipe_for(("builtin:smollm2", str(data)), method=method, lr=1e-4, length=48, rank=12, device="cuda")
    train(recipe, tmp_path / method)
    run = RunDir.open(tmp_path / method)
    written = {}
    for backend in ("transformers", "vllm"):
        settings = {"decodings": ("greedy", "repetition-penalty", "min-p"), "device": "cuda", "precision": precision}
        found = evaluate(run, settings_for(run, **settings, backend=backend))
        written[backend] = {file.stem: continuations(file) for file in (run.path / "samples").iterdir()}
        assert found["settings"]["written_by"]["base/greedy"].startswith(backend)
    for name in ("base-greedy", "hyperfitted-greedy", "base-repetition-penalty", "hyperfitted-repetition-penalty"):
        pairs = zip(written["transformers"][name], written["vllm"][name], strict=True)
        begin_alike = [one[:40] == other[:40] for one, other in pairs]
        assert sum(begin_alike) >= len(begin_alike) / 2, name
