"""The tables of docs/scale.md: what `hyperfit plan` says of models of 1 to 70 billion parameters on GPUs of 80 GB.

    python benchmarks/scale.py > docs/scale_tables.md

Writes a folder with nothing but a config for each (the shapes of TinyLlama, Llama 2 and Llama 3), and plans it.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from hyperfit.console import duration
from hyperfit.numbers import COUNT, GIGABYTES
from hyperfit.planning.plan import plan
from hyperfit.planning.settings import PlanSettings

LLAMA = {"model_type": "llama", "max_position_embeddings": 4096}
SHAPES: dict[str, dict[str, Any]] = {
    "1.1 B (TinyLlama)": {
        "hidden_size": 2048, "intermediate_size": 5632, "num_hidden_layers": 22, "num_attention_heads": 32,
        "num_key_value_heads": 4, "vocab_size": 32000,
    },
    "7 B (Llama 2)": {
        "hidden_size": 4096, "intermediate_size": 11008, "num_hidden_layers": 32, "num_attention_heads": 32,
        "num_key_value_heads": 32, "vocab_size": 32000,
    },
    "13 B (Llama 2)": {
        "hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40,
        "num_key_value_heads": 40, "vocab_size": 32000,
    },
    "70 B (Llama 3)": {
        "hidden_size": 8192, "intermediate_size": 28672, "num_hidden_layers": 80, "num_attention_heads": 64,
        "num_key_value_heads": 8, "vocab_size": 128256,
    },
}  # fmt: skip


def main() -> None:
    """Print a table a model."""
    with tempfile.TemporaryDirectory() as folder:
        for place, (name, shape) in enumerate(SHAPES.items()):
            where = Path(folder) / str(place)
            where.mkdir()
            (where / "config.json").write_text(json.dumps({**LLAMA, **shape}))
            found = plan(PlanSettings(model=str(where), batch_size=2, gpu_memory=80))
            print(f"**{name}**, {COUNT.told(found.options[0].parameters)} parameters\n")
            print("| | blocks | frozen | learning | Adam | passing | peak, GB | fits 80 GB | disk, GB | an epoch |")
            print("|---|---|---|---|---|---|---|---|---|---|")
            for one in found.options:
                memory = (one.weights, one.learning, one.optimiser, one.passing, one.peak)
                fits = "yes" if one.fits else f"with `{one.instead}`" if one.instead else "no"
                seconds = duration(one.epoch_seconds or 0)
                cells = [f"`{one.method}`" + ", streaming" * one.streaming, str(one.blocks), *map(GIGABYTES, memory)]
                cells += [fits, GIGABYTES(one.cache + one.checkpoints + one.result), seconds]
                print("| " + " | ".join(cells) + " |", flush=True)
            print(flush=True)


if __name__ == "__main__":
    main()
