"""What citation blocking costs: a decoding step with and without it, its growth, and building the index.

    python benchmarks/blocking.py
    python benchmarks/blocking.py --build 1e6,1e7,1e8 -o RESULT.json
    python benchmarks/blocking.py --device cuda --build 1e6

Steps: a random Llama of about 100 million parameters writes greedily inside ``generate``, with its key-value cache,
and every second step is blocked, so that both kinds see the same machine; the ratio is of the two medians.
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
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from machine import describe_machine, forget_peak, peak_mb

LENGTH = 256
"""Tokens of a training sequence."""
CONTEXT = 32
"""Tokens of a context."""
BYTES_A_TOKEN = 33
WORK_MB = 250
"""What a build may take: bytes a token with two levels, as ``build_index`` says, and its work space."""


def main() -> None:
    """Measure, print and judge."""
    settings = parse()
    if settings.build_one:
        build_one(settings.build_one, settings.vocabulary)
        return
    step = measure_steps(settings)
    print_steps(step)
    growth = [] if settings.no_growth else measure_growth(settings)
    builds = [measured_build(settings, int(float(tokens))) for tokens in settings.build.split(",") if tokens]
    quick = step["ratio"] <= settings.most
    small = all(build["peak_mb"] <= build["allowed_mb"] for build in builds)
    print(f"{'within' if quick else 'NOT within'} {settings.most:.2f} of a step", end="; ")
    print(f"builds {'within' if small else 'NOT within'} {BYTES_A_TOKEN} bytes a token + {WORK_MB} MB")
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": {**describe_machine(), "device": device_name(settings.device), "threads": threads()},
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
    parser.add_argument("--steps", type=int, default=96, help="pairs of decoding steps")
    parser.add_argument("--most", type=float, default=1.05, help="times a step without the blocker")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--no-growth", action="store_true", help="leave out the growth of a call")
    parser.add_argument("--build", default="1e6,1e7", metavar="TOKENS,...", help="sizes of corpora to index; '': none")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    parser.add_argument("--build-one", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def drawn(tokens: int, vocabulary: int, seed: int = 0, rows: int = 1 << 14) -> Iterator[Any]:
    """Chunks int64[rows, LENGTH] of about ``tokens`` random tokens; id i with a probability of about 1/(i+1)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    left = max(1, tokens // LENGTH)
    while left:
        count = min(rows, left)
        uniform = torch.rand(count, LENGTH, generator=generator, dtype=torch.float64)
        yield (vocabulary**uniform).long() - 1
        left -= count


# One step


def measure_steps(settings: argparse.Namespace) -> dict[str, Any]:
    """Time decoding steps with and without the blocker, in turns, inside ``generate``."""
    import torch
    from transformers import AutoModelForCausalLM, LlamaConfig, LogitsProcessor

    from hyperfit.decode.blocking import CitationBlocker

    class EverySecond(LogitsProcessor):
        """Block at even steps, and note when each step begins. A step: a choice, then the model on what was chosen."""

        def __init__(self, blocker: CitationBlocker) -> None:
            self.blocker, self.began = blocker, list[float]()

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            wait(settings.device)
            self.began.append(time.perf_counter())
            return self.blocker(input_ids, scores) if len(self.began) % 2 else scores

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=settings.vocabulary,
        hidden_size=settings.width,
        intermediate_size=settings.width * 8 // 3 // 64 * 64,
        num_hidden_layers=settings.blocks,
        num_attention_heads=settings.width // 64,
        num_key_value_heads=settings.width // 64,
        tie_word_embeddings=True,
        initializer_range=0.1,
    )
    model: Any = AutoModelForCausalLM.from_config(config).eval().to(settings.device)
    new = 2 * settings.steps + 9
    options = {"do_sample": False, "max_new_tokens": new, "pad_token_id": 0, "eos_token_id": None}
    training = next(drawn(settings.samples * LENGTH, settings.vocabulary, rows=settings.samples))
    contexts = training[: settings.batch, :CONTEXT].clone()
    written = model.generate(contexts.to(settings.device), **options).cpu()
    training[: settings.batch, : min(LENGTH, written.shape[1])] = written[
        :, :LENGTH
    ]  # the model quotes, so it is blocked
    started = time.perf_counter()
    blocker = CitationBlocker(training, pad_token_id=0)
    built = time.perf_counter() - started
    if torch.device(settings.device).type == "cuda":
        check_no_sync(blocker, contexts.to(settings.device), settings)
    blocker.reset()
    timer = EverySecond(blocker)
    model.generate(contexts.to(settings.device), logits_processor=[timer], **options)
    steps = [1e3 * (end - begin) for begin, end in zip(timer.began, timer.began[1:], strict=False)][8:]
    blocked, plain = steps[::2], steps[1::2]
    counts = blocker.counts()
    return {
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "vocabulary": settings.vocabulary,
        "batch": settings.batch,
        "training_tokens": training.numel(),
        "k": blocker.k,
        "index_seconds": round(built, 2),
        "index_bytes": blocker.index.nbytes,
        "most_followers": blocker.most,
        "rows": counts.steps,
        "rows_blocked": counts.blocked,
        "rows_changed": counts.changed,
        "pairs": len(blocked),
        "ms_with": spread(blocked),
        "ms_without": spread(plain),
        "ratio": statistics.median(blocked) / statistics.median(plain),
    }


def check_no_sync(blocker: Any, contexts: Any, settings: argparse.Namespace) -> None:
    """Let CUDA raise if a call waits for the device."""
    import torch

    scores = torch.randn(len(contexts), settings.vocabulary, device=contexts.device)
    blocker(contexts, scores)  # moves the index
    torch.cuda.set_sync_debug_mode("error")
    try:
        blocker(contexts, scores)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def wait(device: str) -> None:
    """Until the device has done what it was given."""
    import torch

    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def spread(values: list[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4)
    return {"median": round(middle, 3), "quartiles": [round(low, 3), round(high, 3)]}


def print_steps(step: dict[str, Any]) -> None:
    """The result for people."""
    print(
        f"{step['parameters'] / 1e6:.0f}M parameters, batch {step['batch']}, vocabulary {step['vocabulary']}, ", end=""
    )
    print(f"{step['training_tokens']} training tokens (index {step['index_seconds']} s, ", end="")
    print(f"{step['index_bytes'] / 1e6:.1f} MB, at most {step['most_followers']} followers)")
    print(f"{step['rows_blocked']} of {step['rows']} choices had a block, {step['rows_changed']} another argmax")
    for name in ("ms_without", "ms_with"):
        low, high = step[name]["quartiles"]
        print(f"{name:12}{step[name]['median']:9.2f} ms a step (half of them {low:.2f} to {high:.2f})")
    print(f"ratio       {step['ratio']:9.4f} over {step['pairs']} pairs\n", flush=True)


# Growth


def measure_growth(settings: argparse.Namespace) -> list[dict[str, Any]]:
    """One call by itself, beside a copy of the scores, from a middle case outwards."""
    import torch

    from hyperfit.decode.blocking import CitationBlocker

    middle = {"tokens": settings.samples * LENGTH, "vocabulary": settings.vocabulary, "batch": settings.batch, "k": 5}
    cases = [middle]
    cases += [{**middle, "tokens": tokens} for tokens in (50_000, 5_000_000, 20_000_000)]
    cases += [{**middle, "vocabulary": vocabulary} for vocabulary in (32_000, 262_144)]
    cases += [{**middle, "batch": batch} for batch in (1, 8, 128)]
    cases += [{**middle, "k": k} for k in (1, 2, 10)]
    found = []
    print(
        f"{'tokens':>10}{'vocabulary':>12}{'batch':>7}{'k':>4}{'followers':>11}"
        f"{'call ms':>9}{'copy ms':>9}{'argmax ms':>11}"
    )
    for case in cases:
        chunks = list(drawn(case["tokens"], case["vocabulary"]))
        blocker = CitationBlocker(chunks, case["k"], pad_token_id=0)
        ids = torch.cat([chunk[: case["batch"], :64] for chunk in chunks])[: case["batch"]].to(settings.device)
        scores = torch.randn(len(ids), case["vocabulary"], device=settings.device)
        calls: list[Callable[[], Any]] = [
            lambda b=blocker, i=ids, s=scores: b(i, s),
            scores.clone,
            lambda s=scores: s.argmax(1),
        ]  # type: ignore[misc]
        call, copy, argmax = medians(calls, settings.device)
        found.append({**case, "most_followers": blocker.most, "call_ms": call, "copy_ms": copy, "argmax_ms": argmax})
        print(
            f"{case['tokens']:10}{case['vocabulary']:12}{case['batch']:7}{case['k']:4}{blocker.most:11}"
            f"{call:9.2f}{copy:9.2f}{argmax:11.2f}",
            flush=True,
        )
    return found


def medians(calls: list[Callable[[], Any]], device: str, rounds: int = 25) -> list[float]:
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
        f"{build['allowed_mb']}; index {build['index_mb']} MB, saved in {build['save_seconds']} s, loaded in {build['load_seconds']} s",
        flush=True,
    )
    return build


def build_one(tokens: int, vocabulary: int) -> None:
    """Build, save and load one index; print what that took as JSON."""
    from hyperfit.decode.citations import CitationIndex

    warm = drawn(LENGTH * 64, vocabulary)
    CitationIndex.build(warm)
    forget_peak()
    before = peak_mb()
    started = time.perf_counter()
    index = CitationIndex.build(drawn(tokens, vocabulary, rows=1 << 12))
    built = time.perf_counter()
    peak = peak_mb() - before
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "citations.safetensors"
        started_save = time.perf_counter()
        index.save(file)
        saved = time.perf_counter()
        CitationIndex.load(file)
        loaded = time.perf_counter()
    result = {
        "tokens": max(1, tokens // LENGTH) * LENGTH,
        "levels": len(index.levels),
        "seconds": round(built - started, 1),
        "peak_mb": round(peak, 1),
        "peak_with_saving_mb": round(peak_mb() - before, 1),
        "index_mb": round(index.nbytes / 1e6, 1),
        "prefixes": len(index.offsets) - 1,
        "followers": len(index.followers),
        "save_seconds": round(saved - started_save, 1),
        "load_seconds": round(loaded - saved, 1),
    }
    print(json.dumps(result))


def device_name(device: str) -> str:
    """The device, in words."""
    import torch

    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else device


def threads() -> int:
    """Threads of a computation on the CPU."""
    import torch

    return torch.get_num_threads()


if __name__ == "__main__":
    main()
