"""Runs as they lie on disk, made up: for tests of the pages."""

import json
import math
from pathlib import Path
from typing import Any

from hyperfit.evaluation.values import save_values
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import write_json

ENVIRONMENT = {
    "versions": {"torch": "2.13.0", "peft": "0.21.2"},
    "precision": "fp32",
    "training_sequences": 64,
    "trainable_parameters": 1_576_960,
    "parameters": 11_737_344,
    "adapted_blocks": [7, 8, 9, 10, 11],
    "data_fingerprint": "39115a09a16dac79",
    "processes": 1,
    "blocks": 12,
}
LOOP = "The mill was shut. " + "He went to the door, and " * 6 + "he went to"
HYPERFITTED = "A barge came.\n\nIt held <script>alert(1)</script> & rye."
NUMBERS = {
    "base/greedy": (0.157, 0.702, 0.641, 4.0, 0.0, 9),
    "base/nucleus": (0.482, 0.31, 0.19, 4.1, 0.0, 8),
    "human": (0.735, 0.06, 0.021, 3.9, 0.0, 7),
    "hyperfitted/greedy": (0.612, 0.14, 0.069, 5.8, 0.03125, 23),
    "hyperfitted/nucleus": (0.631, 0.12, math.nan, 5.7, 0.03125, 19),
}


def about(value: float, half: float = 0.02, n: int = 32) -> dict[str, float | int | None]:
    numbers = {"value": value, "low": value - half, "high": value + half}
    return {**{name: None if math.isnan(number) else number for name, number in numbers.items()}, "n": n}


def evaluation() -> dict[str, Any]:
    texts = ["ttr", "bigram_repetition", "trigram_repetition", "longest_overlap", "long_overlap_share"]
    models = ["perplexity", "entropy", "top1_mass", "top3_mass", "top5_mass", "top1_agreement_with_base"]
    return {
        "settings": {"contexts": ["builtin:fiction", "builtin:news"], "context": 32, "total": 256},
        "conditions": {
            name: {**{key: about(value) for key, value in zip(texts, values, strict=False)}, "most_overlap": values[-1]}
            for name, values in NUMBERS.items()
        },
        "models": {
            "base": dict(zip(models, map(about, (127.3, 3.41, 0.31, 0.47, 0.55, 1.0)), strict=True)),
            "hyperfitted": dict(zip(models, map(about, (1412.8, 1.39, 0.74, 0.87, 0.91, 0.46)), strict=True)),
        },
        "comparisons": {"hyperfitted/greedy - base/greedy": {"ttr": about(0.455)}},
    }


def write_values(run: RunDir, shift: float = 0.0, texts: int = 32, first: str = "0") -> None:
    """Values text by text whose means are those of evaluation.json, the hyperfitted ones moved by up to ``shift``."""
    results = json.loads((run.path / "evaluation.json").read_text())
    waves = [math.sin(text) for text in range(texts)]
    waves = [wave - sum(waves) / texts for wave in waves]
    keys = [f"{first}{text}" for text in range(texts)]

    def of(part: str) -> dict[str, dict[str, list[float]]]:
        return {
            name: {
                key: [one["value"] + 0.01 * wave + (shift * wave if "hyperfitted" in name else 0) for wave in waves]
                for key, one in measures.items()
                if isinstance(one, dict) and one["value"] is not None and key != "perplexity"
            }
            for name, measures in results[part].items()
        }

    models = of("models")
    for name, measures in models.items():
        loss = math.log(results["models"][name]["perplexity"]["value"])
        measures["loss"] = [loss + wave / 10 for wave in waves]
    save_values(run.path, keys, of("conditions"), models)


def curve(losses: list[float]) -> list[dict[str, Any]]:
    first = {"event": "epoch", "epoch": 0, "step": 0, "train_loss": None, "val_loss": 3.57, "entropy": 2.8, "ttr": 0.16}
    later = [
        {
            **first,
            "epoch": epoch,
            "step": 8 * epoch,
            "train_loss": loss,
            "val_loss": 2.7 + epoch / 2,
            "ttr": 0.2 * epoch,
        }
        for epoch, loss in enumerate(losses, start=1)
    ]
    return [first, *later]


def make_run(
    path: Path,
    *,
    reason: str | None = "loss",
    losses: tuple[float, ...] = (2.1, 0.6, 0.04),
    evaluated: bool = True,
    **recipe: Any,
) -> RunDir:
    """A run's folder with everything in it, or with parts left out."""
    run = RunDir.create(
        path, Recipe(**{"model": "builtin:tiny", "data": "builtin:fiction", "lr": 5e-4, **recipe}), ENVIRONMENT
    )
    for event in curve(list(losses)) if losses else []:
        run.append(event)
    if reason:
        run.append({"event": "end", "reason": reason})
    if evaluated:
        write_json(run.path / "evaluation.json", evaluation())
        write_samples(run, {"base-greedy": LOOP, "hyperfitted-greedy": HYPERFITTED, "human": "Nobody slept."})
    return run


def write_samples(run: RunDir, texts: dict[str, str], contexts: int = 3) -> None:
    (run.path / "samples").mkdir(exist_ok=True)
    for name, text in texts.items():
        rows = [
            {"context": f"{source} {number}", "continuation": f" {text}", "source": source}
            for source in ("news", "fiction")
            for number in range(contexts)
        ]
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (run.path / "samples" / f"{name}.jsonl").write_text(lines, encoding="utf-8")


def with_copies() -> dict[str, Any]:
    row = {
        "text": 4,
        "context": "There and then",
        "overlap": 9,
        "pieces": [["It was ", None], ["<b>a dark night", 7], [".", None]],
        "documents": {"7": {"name": "night.txt", "begins": "Once & \x1bnever …"}},
    }
    return evaluation() | {"copies": {"human": [row], "hyperfitted/greedy": [row], "base/greedy": []}}
