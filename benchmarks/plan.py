"""How far `hyperfit plan` is from what training really takes: peak resident memory of this machine's CPU.

    OMP_NUM_THREADS=1 python benchmarks/plan.py -o benchmarks/results/plan.json

Trains one epoch (two updates) of each model by each method, without probes, in a process of its own, and reads the
peak that the run's log tells; beside it what the plan says of the same recipe. The random models have the shape of
those named, with fewer blocks. Takes about ten minutes and 6 GB.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, Qwen2Config

from hyperfit.models.devices import pick_precision
from hyperfit.models.files.folders import model_folder
from hyperfit.models.loading import load_config
from hyperfit.planning.options import Planner
from hyperfit.planning.plan import machine_of
from hyperfit.planning.settings import PlanSettings
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Method
from hyperfit.runs.directory import RunDir

BATCH, LENGTH, SAMPLES = 4, 128, 8
RANDOM = {
    "random Llama (width 1,024, 8 blocks)": LlamaConfig(
        hidden_size=1024, intermediate_size=2816, num_hidden_layers=8, num_attention_heads=16, num_key_value_heads=8,
        vocab_size=49152,
    ),
    "random Qwen2 (width 896, 6 blocks, vocabulary 151,936)": Qwen2Config(
        hidden_size=896, intermediate_size=4864, num_hidden_layers=6, num_attention_heads=14, num_key_value_heads=2,
        vocab_size=151936, tie_word_embeddings=True,
    ),
}  # fmt: skip


def models(folder: Path) -> dict[str, str]:
    """Name → what ``hyperfit train`` is given; random ones are made in the folder."""
    found = {"builtin:tiny": "builtin:tiny", "builtin:smollm2": "builtin:smollm2"}
    for name, config in RANDOM.items():
        where = folder / config.model_type
        torch.manual_seed(0)
        AutoModelForCausalLM.from_config(config).bfloat16().save_pretrained(where)
        AutoTokenizer.from_pretrained(model_folder("builtin:smollm2")).save_pretrained(where)
        found[name] = str(where)
    return found


def measured(model: str, method: str, run: Path) -> int:
    """Bytes at the peak of an epoch's updates."""
    line = f"train {model} --data builtin:fiction --method {method} --samples {SAMPLES} --length {LENGTH}"
    line += f" --batch-size {BATCH} --epochs 1 --probe-every 0 --greedy-every 0 --validation-samples 1 --probe-texts 1"
    subprocess.run([sys.executable, "-m", "hyperfit", *line.split(), "-o", str(run)], check=True, capture_output=True)
    return int(RunDir.open(run).events("epoch")[-1]["peak_memory"])


def planned(model: str, method: Method) -> int:
    """Bytes that the plan expects."""
    settings = PlanSettings(model=model, method=method, batch_size=BATCH, length=LENGTH, samples=SAMPLES, gpus=0)
    config = load_config(model)
    text = config.get_text_config(decoder=True)
    recipe = replace(settings.recipe(method), precision=pick_precision("auto", torch.device("cpu")), greedy_every=0)
    recipe = filled_in(recipe, text.num_hidden_layers, text.hidden_size)
    return next(Planner(config, machine_of(settings)).options(recipe)).peak


def main() -> None:
    """Measure, and print beside the plan."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    asked = parser.parse_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name, model in models(Path(folder)).items():
            for method in get_args(Method):
                real = measured(model, method, Path(folder) / f"{Path(model).name}-{method}".replace(":", "-"))
                told = planned(model, method)
                row = {"model": name, "method": method, "measured": real, "planned": told, "error": told / real - 1}
                print(
                    f"{name:55} {method:10} {real / 1e9:6.2f} GB, planned {told / 1e9:6.2f} ({row['error']:+.1%})",
                    flush=True,
                )
                rows.append(row)
    print(f"largest error {max(abs(row['error']) for row in rows):.1%}")
    if asked.output:
        about = {"command": " ".join(sys.argv), "cpu": platform.processor(), "torch": torch.__version__}
        asked.output.write_text(json.dumps({**about, "batch": BATCH, "length": LENGTH, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
