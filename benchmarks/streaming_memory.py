"""Train on a 2 GB model within 600 MB of memory: ``hyperfit train --streaming`` beside the same without.

    python benchmarks/streaming_memory.py
    python benchmarks/streaming_memory.py --late-blocks 5 -o RESULT.json

A Llama of 96 blocks with random weights is written shard by shard, with a small tokenizer and a folder of random
texts. Then the same command trains it twice, once with ``--streaming`` and once without, each in a process of its
own whose peak resident memory the system reports. Exit status 1 if the streaming run needs more than ``--most``
MB, or if the two runs' adapters are not the same, bit for bit.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_machine

SHARD_BLOCKS = 8
"""Blocks in one safetensors file; no more than one file is in memory while they are made."""
VOCABULARY = 2048
"""Rows of embedding and head."""


def main() -> None:
    """Make the model, train it both ways, print and judge."""
    settings = parse()
    if settings.make:
        make(settings)
        return
    with tempfile.TemporaryDirectory(dir=settings.folder) as place:
        folder = Path(place)
        # in a process of its own: a child's peak begins with the memory of the process that started it
        measured([__file__, *sys.argv[1:], "--make", str(folder)])
        bytes_of_weights = sum(file.stat().st_size for file in (folder / "model").glob("*.safetensors"))
        print(f"model: {settings.blocks} blocks of width {settings.width}, {bytes_of_weights / 1e9:.2f} GB", flush=True)
        found = {
            "import of hyperfit.training": measured(["-c", "import hyperfit.training.train"]),
            "hyperfit train --streaming": measured(command(settings, folder, "streamed", "--streaming")),
        }
        if not settings.streaming_only:
            found["hyperfit train"] = measured(command(settings, folder, "whole"))
        equal = settings.streaming_only or same_adapters(folder / "streamed", folder / "whole")
    report(settings, found, equal, bytes_of_weights)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=96)
    parser.add_argument("--width", type=int, default=1024, help="hidden size, a multiple of 64")
    parser.add_argument("--late-blocks", type=int, default=2, help="blocks that learn")
    parser.add_argument("--length", type=int, default=64, help="tokens of a sequence")
    parser.add_argument("--texts", type=int, default=8, help="training sequences")
    parser.add_argument("--precision", choices=["auto", "bf16", "fp32"], default="auto")
    parser.add_argument("--most", type=float, default=600.0, help="MB (10^6 bytes) that the streaming run may take")
    parser.add_argument("--streaming-only", action="store_true", help="leave out the run with the whole model")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made (4 GB)")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def command(settings: argparse.Namespace, folder: Path, run: str, *flags: str) -> list[str]:
    """Arguments to python of a training run."""
    return [
        *("-m", "hyperfit", "train", str(folder / "model"), "--data", str(folder / "texts"), "--heldout", "0"),
        *("--late-blocks", str(settings.late_blocks), "--rank", "8", "--batch-size", "1", "--epochs", "2"),
        *("--length", str(settings.length), "--precision", settings.precision, "--device", "cpu"),
        *("--cache-dir", str(folder / f"cache-{run}"), "--output", str(folder / run), *flags),
    ]


def measured(arguments: list[str]) -> dict[str, Any]:
    """Run python with the arguments: seconds, and peak resident MB. Ends this process if it fails."""
    started = time.monotonic()
    process = subprocess.Popen([sys.executable, *arguments])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"failed with {process.returncode}: python {' '.join(arguments)}")
    unit = 1 if sys.platform == "darwin" else 1024
    return {"peak_mb": round(usage.ru_maxrss * unit / 1e6, 1), "seconds": round(time.monotonic() - started, 1)}


def same_adapters(one: Path, other: Path) -> bool:
    """Whether two runs ended with the same adapter, bit for bit."""
    file = Path("adapter/adapter_model.safetensors")
    return (one / file).read_bytes() == (other / file).read_bytes()


def report(settings: argparse.Namespace, found: dict[str, dict[str, Any]], equal: bool, size: int) -> None:
    """Print and save the results; exit status 1 for too much memory or different weights."""
    print(f"\n{'':32}{'peak MB':>10}{'seconds':>10}")
    for name, numbers in found.items():
        print(f"{name:32}{numbers['peak_mb']:10.0f}{numbers['seconds']:10.1f}")
    peak = found["hyperfit train --streaming"]["peak_mb"]
    within = peak <= settings.most
    print(f"{'within' if within else 'NOT within'} {settings.most:.0f} MB", end="")
    print("" if settings.streaming_only else f"; adapters {'the same, bit for bit' if equal else 'NOT THE SAME'}")
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": describe_machine(),
            "model": {"blocks": settings.blocks, "width": settings.width, "bytes": size},
            "late_blocks": settings.late_blocks,
            "runs": found,
            "most_mb": settings.most,
            "within": within,
            "same_adapters": None if settings.streaming_only else equal,
        }
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(not (within and equal))


def make(settings: argparse.Namespace) -> None:
    """Write model, tokenizer and texts into the folder ``settings.make``."""
    from shapes import make_texts

    make_texts(settings.make / "texts", settings.texts, settings.length)
    make_model(settings.make / "model", settings.blocks, settings.width, max(512, settings.length))


def make_model(folder: Path, blocks: int, width: int, positions: int) -> None:
    """Write a Llama with random bf16 weights and its tokenizer; one file is held at a time."""
    import torch
    from safetensors.torch import save_file
    from shapes import byte_tokenizer
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=width,
        intermediate_size=width * 11 // 4,
        num_hidden_layers=blocks,
        num_attention_heads=width // 64,
        num_key_value_heads=max(1, width // 256),
        max_position_embeddings=positions,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        dtype="bfloat16",
    )
    config.architectures = ["LlamaForCausalLM"]
    config.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    with torch.device("meta"):
        shapes = {name: weight.shape for name, weight in LlamaForCausalLM(config).named_parameters()}
    generator = torch.Generator().manual_seed(0)
    where: dict[str, str] = {}
    for number, names in enumerate(shards(list(shapes))):
        weights = {name: random_weight(shapes[name], generator) for name in names}
        file = f"model-{number + 1:05d}.safetensors"
        save_file(weights, folder / file, metadata={"format": "pt"})
        where |= dict.fromkeys(names, file)
    index = json.dumps({"metadata": {}, "weight_map": where})
    (folder / "model.safetensors.index.json").write_text(index, encoding="utf-8")


def shards(names: list[str]) -> list[list[str]]:
    """Weights grouped into files: some blocks each, and the rest."""
    groups: dict[int, list[str]] = {}
    for name in names:
        block = name.split(".")[2] if name.startswith("model.layers.") else None
        groups.setdefault(-1 if block is None else int(block) // SHARD_BLOCKS, []).append(name)
    return list(groups.values())


def random_weight(shape: Any, generator: Any) -> Any:
    """bf16: ones for a norm, else normal with the standard deviation that Llama starts with."""
    import torch

    if len(shape) == 1:
        return torch.ones(shape, dtype=torch.bfloat16)
    return (torch.randn(shape, generator=generator) * 0.02).bfloat16()


if __name__ == "__main__":
    main()
