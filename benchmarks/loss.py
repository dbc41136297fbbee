"""How long the loss of a chunk of positions at a time takes, beside whole logits and beside other fused losses.

    OMP_NUM_THREADS=1 python benchmarks/loss.py -o benchmarks/results/loss.json
    python benchmarks/loss.py --vocabularies 262144 --positions 1024 --seconds 60
    python benchmarks/loss.py --device cuda --precision bf16 --positions 8192

Loss and gradients of random states and head, with a head that learns and one that is frozen. Contestants, in turns:

    plain      linear and cross_entropy over all positions together
    hyperfit   as training computes it: ``positions_at_once``
    fixed      the same with 2^22 logits a chunk, whatever the vocabulary
    torch      torch.nn.functional.linear_cross_entropy in chunks as large as hyperfit's (left out if torch has none)
    liger      Liger's fused linear cross-entropy (pip install liger-kernel; only on a GPU, left out if absent)

Printed: the median of seconds over rounds, the median of each round's ratio to "hyperfit", and the peak of memory.
A case goes round again until ``--seconds`` are used up, so that the slowest go round only once: n is printed. With one
thread the seconds are the processor's, whatever else the machine does. Exit status 1 if losses or gradients differ.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from machine import describe_machine, forget_peak, peak_mb
from torch import Tensor

from hyperfit.models.devices import positions_at_once
from hyperfit.training.loss import ChunkedLoss

WIDTHS = {262144: 640}
"""By vocabulary: Gemma 3 270M. The others have SmolLM2's."""
WIDTH = 576
FIXED_LOGITS = 2**22
ROWS = 1024
"""Of the head's gradient, that are compared."""
TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""Largest difference of loss and gradients, relative to the largest value."""

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""The mean loss of float[positions, width] states, int64[positions] targets and a float[vocabulary, width] head."""


def main() -> None:
    """Measure every case, print, write; and judge whether all contestants agree."""
    settings = parse()
    cases = []
    for vocabulary in settings.vocabularies:
        for learns in (True, False):
            cases.append(measure(settings, vocabulary, learns))
            show(cases[-1])
    if settings.output:
        result = {
            "command": ["python", *sys.orig_argv[1:]],
            "machine": describe_machine(),
            "device": torch.cuda.get_device_name() if settings.device == "cuda" else settings.device,
            "threads": torch.get_num_threads(),
            "clock": clock(settings).__name__,
            "settings": {name: value for name, value in vars(settings).items() if name != "output"},
            "cases": cases,
        }
        settings.output.parent.mkdir(parents=True, exist_ok=True)
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    worst = max(row["largest_difference"] for case in cases for row in case["contestants"].values())
    if not worst <= TOLERANCE[settings.precision]:
        sys.exit(f"losses or gradients differ by {worst:.1e}")


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabularies", type=int, nargs="+", default=[32768, 49152, 131072, 262144])
    parser.add_argument("--positions", type=int, default=384)
    parser.add_argument("--seconds", type=float, default=8.0, help="after which a case goes round no more")
    parser.add_argument("--rounds", type=int, default=9, help="of a case at most")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="fp32", help="bf16: under autocast")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    return parser.parse_args()


def contestants(device: str) -> dict[str, Loss]:
    """Those that are to be had here."""
    found: dict[str, Loss] = {"plain": plain, "hyperfit": chunked, "fixed": fixed}
    if hasattr(torch.nn, "LinearCrossEntropyOptions"):
        found["torch"] = fused
    if device == "cuda" and find_spec("liger_kernel"):
        found["liger"] = liger
    return found


def chunked(states: Tensor, targets: Tensor, head: Tensor, size: int | None = None) -> Tensor:
    """As hyperfit trains; size: positions in a chunk, if they are others than it takes."""
    weights = [head] if head.requires_grad else []
    size = size or positions_at_once(len(head), head.device, learns=bool(weights))
    apply: Any = ChunkedLoss.apply
    part: Tensor = apply(states, targets, 1 / len(targets), lambda piece: F.linear(piece, head), size, None, *weights)[
        1
    ]
    return part


def fixed(states: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """As hyperfit trains, but with as many logits for every vocabulary."""
    return chunked(states, targets, head, max(1, FIXED_LOGITS // len(head)))


def plain(states: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """With the logits of all positions in memory."""
    return F.cross_entropy(F.linear(states, head).float(), targets)


def fused(states: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """PyTorch's own in chunks."""
    size = positions_at_once(len(head), head.device, learns=head.requires_grad)
    options = torch.nn.LinearCrossEntropyOptions(batch_chunk_size=size)
    return F.linear_cross_entropy(states, head, targets, options=options)


def liger(states: Tensor, targets: Tensor, head: Tensor) -> Tensor:
    """Liger's kernel."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    loss: Tensor = LigerFusedLinearCrossEntropyLoss()(head, states, targets)
    return loss


def measure(settings: argparse.Namespace, vocabulary: int, learns: bool) -> dict[str, Any]:
    """One vocabulary, and one kind of head: all contestants in turns."""
    generator = torch.Generator().manual_seed(0)
    width, device = WIDTHS.get(vocabulary, WIDTH), torch.device(settings.device)
    states = torch.randn(settings.positions, width, generator=generator).to(device).requires_grad_()
    head = torch.randn(vocabulary, width, generator=generator).mul_(width**-0.5).to(device).requires_grad_(learns)
    targets = torch.randint(vocabulary, (settings.positions,), generator=generator).to(device)
    rivals = contestants(settings.device)
    seconds: dict[str, list[float]] = {name: [] for name in rivals}
    peaks, apart, expected, spent = dict.fromkeys(rivals, 0.0), {}, None, 0.0
    if settings.device == "cuda":
        for loss in rivals.values():  # kernels are picked and compiled
            step(settings, loss, states, targets, head)
    for turn in range(settings.rounds):
        if turn and spent > settings.seconds:
            break
        for name, loss in rivals.items():
            took, peak, found = step(settings, loss, states, targets, head)
            seconds[name].append(took)
            spent += took
            peaks[name] = max(peaks[name], peak)
            expected = expected or found
            apart[name] = max(difference(one, other) for one, other in zip(found, expected, strict=True))
    return {
        "vocabulary": vocabulary,
        "width": width,
        "learns": learns,
        "n": len(seconds["hyperfit"]),
        "positions_at_once": positions_at_once(vocabulary, device, learns=learns),
        "contestants": {
            name: {
                "seconds": round(statistics.median(times), 4),
                "least": round(min(times), 4),
                "most": round(max(times), 4),
                "ratio": round(statistics.median(t / h for t, h in zip(times, seconds["hyperfit"], strict=True)), 3),
                "peak_mb": round(peaks[name]),
                "largest_difference": float(f"{apart[name]:.2e}"),
            }
            for name, times in seconds.items()
        },
    }


def step(
    settings: argparse.Namespace, loss: Loss, states: Tensor, targets: Tensor, head: Tensor
) -> tuple[float, float, list[Tensor]]:
    """Seconds, peak of memory in MB, and what came out: loss, the states' gradient, and the first rows of the head's.

    On the CPU the peak is the whole process's.
    """
    cuda = settings.device == "cuda"
    states.grad = head.grad = None
    forget_peak()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.synchronize()
    now = clock(settings)
    start = now()
    with torch.autocast(settings.device, torch.bfloat16, enabled=settings.precision == "bf16"):
        value = loss(states, targets, head)
    value.backward()
    if cuda:
        torch.cuda.synchronize()
    took, peak = now() - start, torch.cuda.max_memory_allocated() / 1e6 if cuda else peak_mb()
    gradients: Any = states.grad
    rows: list[Tensor] = [] if head.grad is None else [head.grad[:ROWS].clone()]
    return took, peak, [value.detach(), gradients.clone(), *rows]


def clock(settings: argparse.Namespace) -> Callable[[], float]:
    """The processor's time where there is one thread of it, else the wall's."""
    return time.process_time if settings.device == "cpu" and torch.get_num_threads() == 1 else time.perf_counter


def difference(one: Tensor, other: Tensor) -> float:
    """The largest, relative to the largest value."""
    return float((one - other).abs().max() / other.abs().max())


def show(case: dict[str, Any]) -> None:
    """A case in a few lines."""
    kind = "learns" if case["learns"] else "frozen"
    print(
        f"vocabulary {case['vocabulary']:,}, width {case['width']}, head {kind}: {case['positions_at_once']} positions "
        f"at once, n = {case['n']}"
    )
    for name, row in case["contestants"].items():
        spread = f"{row['least']:.3f}-{row['most']:.3f}"
        print(f"  {name:10}{row['seconds']:8.3f} s{spread:>16}{row['ratio']:8.2f}{row['peak_mb']:8.0f} MB", flush=True)


if __name__ == "__main__":
    main()
