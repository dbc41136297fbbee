"""What citation blocking costs: a decoding step with and without it, its growth, and building the index.

    python benchmarks/blocking.py
    python benchmarks/blocking.py --build 1e6,1e7,1e8 -o RESULT.json
    python benchmarks/blocking.py --device cuda --build 1e6

Steps: a random Llama of about 100 million parameters writes greedily inside ``generate``, with its key-value cache;
a few steps without a processor, a few with one that only copies the scores, a few with the blocker, and back. The
ratio is the mean, over the rounds, of the ratio of two kinds' median steps.
Growth: one call of the blocker by itself. Build: an index of so many tokens, in a process of its own that reports its
peak memory, from chunks that are drawn while it goes. Tokens are drawn with a probability of 1 / rank, as in text.

Exit status 1 if a step takes more than ``--most`` times as long with the blocker as without, or if a build takes more
memory than its documentation allows.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from blocking_step import LENGTH, drawn, measure_steps, wait
from machine import describe_machine, forget_peak, peak_mb

from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.index import CitationIndex

BYTES_A_TOKEN = 33
WORK_MB = 250
"""What a build may take: bytes a token with two levels, as ``build_index`` says, and its work space."""


def main() -> None:
    """Measure, print and judge."""
    settings = parse()
    if settings.build_one:
        build_one(settings.build_one, settings.vocabulary)
        return
    device = torch.device(settings.device)
    sizes = {name: getattr(settings, name) for name in ("vocabulary", "width", "blocks", "batch", "samples", "texts")}
    step = measure_steps(**sizes, device=device)
    print_steps(step)
    growth = [] if settings.no_growth else measure_growth(settings, device)
    builds = [measured_build(settings, int(float(tokens))) for tokens in settings.build.split(",") if tokens]
    quick = step["ratio"]["value"] <= settings.most
    small = all(build["peak_mb"] <= build["allowed_mb"] for build in builds)
    print(f"{'within' if quick else 'NOT within'} {settings.most:.2f} of a step", end="; ")
    print(f"builds {'within' if small else 'NOT within'} {BYTES_A_TOKEN} bytes a token + {WORK_MB} MB")
    if settings.output:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else settings.device
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": {**describe_machine(), "device": name, "threads": torch.get_num_threads()},
            "step": step,
            "most": settings.most,
            "within": quick,
            "growth": growth,
            "builds": builds,
            "builds_within": small,
        }
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    sys.exit(0 if quick and small else 1)


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=128_256)
    parser.add_argument("--width", type=int, default=512, help="hidden size of the model, a multiple of 64")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--samples", type=int, default=2000, help=f"training sequences of {LENGTH} tokens")
    parser.add_argument("--texts", type=int, default=4, help=f"how often a batch is written, to {LENGTH} tokens each")
    parser.add_argument("--most", type=float, default=1.05, help="times a step without the blocker")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth of a call")
    parser.add_argument("--build", default="1e6,1e7", metavar="TOKENS,...", help="sizes of corpora to index; '': none")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    parser.add_argument("--build-one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def print_steps(step: dict[str, Any]) -> None:
    """The result for people."""
    print(
        f"{step['parameters'] / 1e6:.0f}M parameters, batch {step['batch']}, vocabulary {step['vocabulary']}, ", end=""
    )
    print(f"{step['training_tokens']} training tokens (index {step['index_seconds']} s, ", end="")
    print(f"{step['index_bytes'] / 1e6:.1f} MB, at most {step['most_followers']} followers)")
    print(f"{step['blocked']} of {step['choices']} choices had a block, {step['changed']} another argmax")
    for kind, milliseconds in step["median_ms"].items():
        print(f"{kind:16}{milliseconds:9.2f} ms a step")
    print(f"{'the call alone':16}{step['call_ms']:9.2f} ms inside a step")
    for name, ratio in (("copy / without", step["ratio_of_copy"]), ("with / without", step["ratio"])):
        print(f"{name:16}{ratio['value']:9.4f} (95 %: {ratio['low']:.4f} to {ratio['high']:.4f}, {ratio['n']} rounds)")
    print(flush=True)


# Growth


def measure_growth(settings: argparse.Namespace, device: torch.device) -> list[dict[str, Any]]:
    """One call by itself, beside a copy of the scores, from a middle case outwards."""
    middle = {"tokens": settings.samples * LENGTH, "vocabulary": settings.vocabulary, "batch": settings.batch, "k": 5}
    cases = [middle]
    cases += [{**middle, "tokens": tokens} for tokens in (50_000, 5_000_000, 20_000_000)]
    cases += [{**middle, "vocabulary": vocabulary} for vocabulary in (32_000, 262_144)]
    cases += [{**middle, "batch": batch} for batch in (1, 8, 128)]
    cases += [{**middle, "k": k} for k in (1, 2, 10)]
    heads = ("tokens", "vocabulary", "batch", "k", "followers", "call ms", "copy ms", "argmax ms")
    print("".join(f"{head:>11}" for head in heads))
    found = []
    for case in cases:
        chunks = list(drawn(case["tokens"], case["vocabulary"]))
        blocker = CitationBlocker(chunks, case["k"], pad_token_id=0)
        ids = torch.cat([chunk[: case["batch"], :64] for chunk in chunks])[: case["batch"]].to(device)
        scores = torch.randn(len(ids), case["vocabulary"], device=device)
        calls: list[Callable[[], Any]] = [partial(blocker, ids, scores), scores.clone, partial(scores.argmax, 1)]
        call, copy, argmax = medians(calls, device)
        found.append({**case, "most_followers": blocker.most, "call_ms": call, "copy_ms": copy, "argmax_ms": argmax})
        print("".join(f"{value:11}" for value in found[-1].values()), flush=True)
    print()
    return found


def medians(calls: list[Callable[[], Any]], device: torch.device, rounds: int = 25) -> list[float]:
    """Median milliseconds of each call, all of them in turns."""
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, taken in zip(calls, times, strict=True):
            wait(device)
            started = time.perf_counter()
            call()
            wait(device)
            taken.append(1e3 * (time.perf_counter() - started))
    return [round(statistics.median(taken[3:]), 3) for taken in times]


# Build


def measured_build(settings: argparse.Namespace, tokens: int) -> dict[str, Any]:
    """Build an index in a process of its own; seconds, peak memory, size, and whether that is what is allowed."""
    arguments = [sys.executable, __file__, "--build-one", str(tokens), "--vocabulary", str(settings.vocabulary)]
    process = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode:
        sys.exit(f"failed with {process.returncode}: python {' '.join(arguments[1:])}")
    build: dict[str, Any] = json.loads(process.stdout)
    build["allowed_mb"] = round(BYTES_A_TOKEN * build["tokens"] / 1e6 + WORK_MB, 1)
    print(
        f"{build['tokens']} tokens: built in {build['seconds']} s, peak {build['peak_mb']} MB of "
        f"{build['allowed_mb']}; index {build['index_mb']} MB, saved in {build['save_seconds']} s, "
        f"loaded in {build['load_seconds']} s",
        flush=True,
    )
    return build


def build_one(tokens: int, vocabulary: int) -> None:
    """Build, save and load one index; print what that took as JSON."""
    CitationIndex.build(drawn(LENGTH * 64, vocabulary))  # what the first use of anything takes
    forget_peak()
    before = peak_mb()
    started = time.perf_counter()
    index = CitationIndex.build(drawn(tokens, vocabulary, rows=1 << 12))
    built = time.perf_counter()
    peak = peak_mb() - before
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "citations.safetensors"
        index.save(file)
        saved = time.perf_counter()
        peak_of_saving = peak_mb() - before
        CitationIndex.load(file)
        loaded = time.perf_counter()
    result = {
        "tokens": max(1, tokens // LENGTH) * LENGTH,
        "levels": len(index.levels),
        "prefixes": len(index.offsets) - 1,
        "followers": len(index.followers),
        "index_mb": round(index.nbytes / 1e6, 1),
        "seconds": round(built - started, 1),
        "peak_mb": round(peak, 1),
        "peak_with_saving_mb": round(peak_of_saving, 1),
        "save_seconds": round(saved - built, 1),
        "load_seconds": round(loaded - saved, 1),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
