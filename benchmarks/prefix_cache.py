"""What the prefix cache saves: hyperfit beside plain PyTorch and TRL, on the same model, data, rank and batch.

    python benchmarks/prefix_cache.py                      # TinyLlama's proportions at reduced width
    python benchmarks/prefix_cache.py --shape qwen -o RESULT.json
    python benchmarks/prefix_cache.py --width 0 --device cuda    # the real shape, random weights
    python benchmarks/prefix_cache.py --shape smollm2 --precision fp32 --sequences 16 --batch-size 2 --steps 2
    python benchmarks/prefix_cache.py --shape smollm2 --precision fp32 --sequences 8 --batch-size 2 --late-blocks 20

One depth a call: --late-blocks says how many of the last blocks learn, in "late-full" as in "cached", to which all
ratios are; at most all but one, as below that there is nothing to cache.

Contestants, each a process of its own that trains when it is its turn, one step at a time, so that whatever else
the machine does falls on all of them alike:

    all        plain torch and peft, adapters in every block
    late       the same with layers_to_transform on the last blocks
    trl        TRL's SFTTrainer with its defaults, the adapter of "late" (pip install trl==1.16.0; left out if absent)
    lora       hyperfit train --method lora: adapters in every block
    full       hyperfit train --method full
    off        hyperfit train --prefix-cache off: adapters in the last blocks
    cached     hyperfit train, the prefix cache filled anew
    late-full  the same with all parameters of the last blocks (--method late-full)

Printed: seconds per step (median and range over steps), peak resident memory, ratios to "cached", what the ratio would
be if only floating-point operations counted (prefix_counts.py), and how much of that was reached. The time of filling
the cache is added in full to the first epochs: "with fill" is a mean over --epochs. The weights are compared at the
end: "off" and "cached" must be equal bit for bit (else exit status 1); "late" computes the loss in one piece and is
compared in size.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from prefix_contestants import COMPARED, CONTESTANTS, LENGTH, Worker
from prefix_counts import counted
from safetensors.torch import load_file
from shapes import BUILTIN, config_of, make_texts, save_model


def main() -> None:
    """Make model and texts, let the contestants take turns, print and judge."""
    settings = parse()
    if settings.worker:
        make(settings) if settings.worker == "make" else Worker(settings).serve()
        return
    names = settings.contestants
    if "trl" in names and not find_spec("trl"):
        print("trl: not installed, left out; pip install trl==1.16.0", file=sys.stderr)
        names = [name for name in names if name != "trl"]
    with tempfile.TemporaryDirectory(dir=settings.folder) as place:
        folder = Path(place)
        subprocess.run(
            [sys.executable, __file__, *sys.argv[1:], "--worker", "make", "--place", str(folder)], check=True
        )
        found = compete(settings, names, folder)
        weights = weights_of(folder)
    report(settings, found, weights)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--shape",
        default="tinyllama",
        help="tiny and smollm2 (the built-in models, with their weights), tinyllama, qwen, llama-8b, ...",
    )
    parser.add_argument("--width", type=int, help="hidden size; left out: the shape's reduced one; 0: the real one")
    parser.add_argument("--sequences", type=int, default=64, help="training sequences of 256 tokens")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rank", type=int, default=64)
    parser.add_argument("--late-blocks", type=int, default=5, help="that learn, counted from the last")
    parser.add_argument("--steps", type=int, default=12, help="of each contestant after one to warm up")
    parser.add_argument("--contestants", nargs="+", choices=CONTESTANTS, default=list(CONTESTANTS))
    parser.add_argument("--epochs", type=int, default=20, help="over which the fill is spread")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16")
    parser.add_argument("--folder", type=Path, help="where the temporary folder is made")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    settings = parser.parse_args()
    if missing := set(COMPARED) - set(settings.contestants):
        parser.error(f"--contestants: {', '.join(sorted(missing))} must be among them, to be compared with")
    return settings


def compete(settings: argparse.Namespace, names: list[str], folder: Path) -> dict[str, dict[str, Any]]:
    """Seconds of every step, fill time and peak memory of each contestant."""
    processes, begun = {}, {}
    for name in names:  # one after the other: filling the cache is timed
        processes[name] = start(name, folder)
        begun[name] = answer(processes[name])
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(settings.steps + 1):
        for name, process in processes.items():
            process.stdin.write("step\n")
            process.stdin.flush()
            seconds = answer(process)["seconds"]
            if turn:
                times[name].append(seconds)
        print(f"\rstep {turn} of {settings.steps}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    found = {}
    for name, process in processes.items():
        process.stdin.close()
        found[name] = {"seconds": times[name], **begun[name], **answer(process)}
        process.wait()
    return found


def start(name: str, folder: Path) -> Any:
    """A contestant's process."""
    return subprocess.Popen(
        [sys.executable, __file__, *sys.argv[1:], "--worker", name, "--place", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answer(process: Any) -> dict[str, Any]:
    """The next thing a contestant says; lines of libraries are passed over. Ends this process if it has failed."""
    for line in process.stdout:
        if line.startswith('{"'):
            return dict(json.loads(line))
    sys.exit(f"a contestant failed with {process.wait()}: {' '.join(process.args)}")


def make(settings: argparse.Namespace) -> None:
    """Model, tokenizer and texts in the folder; a built-in model brings its own."""
    if settings.shape in BUILTIN:
        return
    config = config_of(settings.shape, settings.width, 2 * LENGTH)
    save_model(config, settings.place / "model", torch.bfloat16)
    make_texts(settings.place / "texts", settings.sequences, LENGTH)


def weights_of(folder: Path) -> dict[str, Any]:
    """How far "late" and "off" ended from "cached": bit for bit the same, and the largest difference, relatively."""
    trained = {name: load_file(folder / f"{name}.safetensors") for name in COMPARED}
    want, found = trained["cached"], {}
    size = max(float(tensor.abs().max()) for tensor in want.values())
    for name in ("late", "off"):
        assert trained[name].keys() == want.keys()
        apart = [float((trained[name][key] - want[key]).abs().max()) for key in want]
        found[name] = {"bit_equal": max(apart) == 0, "largest_difference": max(apart) / size}
    return found


def report(settings: argparse.Namespace, found: dict[str, dict[str, Any]], weights: dict[str, Any]) -> None:
    """Print and save; exit status 1 if the cache changed a weight."""
    steps_an_epoch = -(-settings.sequences // settings.batch_size)
    fill = found["cached"]["fill_seconds"] / (settings.epochs * steps_an_epoch)
    allowed = counted(config_of(settings.shape, settings.width, 2 * LENGTH), settings.rank, settings.late_blocks)
    rows = {}
    for name, numbers in found.items():
        ratios = [mine / cached for mine, cached in zip(numbers["seconds"], found["cached"]["seconds"], strict=True)]
        ratio = statistics.median(ratios)
        seconds = statistics.median(numbers["seconds"])
        cached = statistics.median(found["cached"]["seconds"])
        rows[name] = {
            "seconds": round(seconds, 4),
            "least": round(min(numbers["seconds"]), 4),
            "most": round(max(numbers["seconds"]), 4),
            "ratio": round(ratio, 3),
            "ratio_low": round(min(ratios), 3),
            "ratio_high": round(max(ratios), 3),
            "ratio_with_fill": round(ratio * cached / (cached + fill), 3),
            "counted": round(allowed[name], 3),
            "of_counted": round(ratio / allowed[name], 3),
            "peak_mb": numbers["peak_mb"],
            "peak_gpu_mb": numbers["peak_gpu_mb"],
        }
    print(
        f"{'':10}{'s a step':>10}{'range':>16}{'ratio':>8}{'range':>14}{'with fill':>11}{'counted':>9}{'reached':>9}"
        f"{'peak MB':>9}"
    )
    for name, row in rows.items():
        spread, range_of = f"{row['least']:.3f}-{row['most']:.3f}", f"{row['ratio_low']:.2f}-{row['ratio_high']:.2f}"
        print(
            f"{name:10}{row['seconds']:10.3f}{spread:>16}{row['ratio']:8.2f}{range_of:>14}{row['ratio_with_fill']:11.2f}"
            f"{row['counted']:9.2f}{row['of_counted']:9.0%}{row['peak_gpu_mb'] or row['peak_mb']:9.0f}"
        )
    print(f"the fill took {found['cached']['fill_seconds']:.1f} s; n = {settings.steps} steps of each")
    for name, compared in weights.items():
        same = "the same, bit for bit" if compared["bit_equal"] else f"within {compared['largest_difference']:.1e}"
        print(f"weights of {name} and cached after {settings.steps + 1} steps: {same}")
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": describe_machine(),
            "threads": torch.get_num_threads(),
            "settings": {k: v for k, v in vars(settings).items() if k not in ("output", "worker", "place", "folder")},
            "contestants": rows,
            "fill_seconds": found["cached"]["fill_seconds"],
            "reached_of_counted": rows["late"]["of_counted"],
            "weights_against_cached": weights,
        }
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(not weights["off"]["bit_equal"])


if __name__ == "__main__":
    main()
