"""Small training runs, and what they leave, for the tests of training."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

from hyperfit.recipes.recipe import Recipe

SPOKEN = (
    "the horse went to the river and the river went to the town and nobody in the town saw the horse again ".split()
)


def write_texts(path: Path, count: int, first: int, words: int = 40) -> Path:
    """Texts that share their words, as lines of JSON, the first named by the number ``first``."""
    rows = [
        {"text": f"{number} " + " ".join(SPOKEN[(number * 5 + k) % len(SPOKEN)] for k in range(words))}
        for number in range(first, first + count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def recipe_for(world: tuple[str, str], **changes: object) -> Recipe:
    settings: dict[str, object] = {
        "model": world[0],
        "data": world[1],
        "length": 16,
        "batch_size": 4,
        "epochs": 3,
        "lr": 1e-2,
        "late_blocks": 2,
        "rank": 4,
        "probe_texts": 2,
        "stop_loss": None,
        "precision": "fp32",
        "device": "cpu",
    }
    return Recipe(**{**settings, **changes})  # type: ignore[arg-type]


def quiet(line: str) -> None:
    """Say nothing."""


def events(run: Path) -> list[dict[str, object]]:
    rows = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in ("seconds", "peak_memory")} for row in rows]


def weights(run: Path) -> dict[str, torch.Tensor]:
    (file,) = [*run.glob("adapter/*.safetensors"), *run.glob("model/*.safetensors")]
    return load_file(file)


def assert_same(first: Path, second: Path) -> None:
    one, two = weights(first), weights(second)
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], two[name]) for name in one)
