"""What it costs that waiting threads sleep (OMP_WAIT_POLICY=PASSIVE, as the command line sets it), and what it gives.

    python benchmarks/waiting_threads.py [-o RESULT.json]

A thread of OpenMP that waits for the others spins, unless it is told to sleep. Where something else wants a core, it
spins in that one's way. Measured: seconds of a pass forward and back through a model of a few blocks, with as many
threads as cores, in processes with either policy that take turns; first with the machine to themselves, then beside
one process that computes all the time.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import describe_machine

POLICIES = ("default", "PASSIVE")
CHILD = """
import sys, time, torch
model = torch.nn.Sequential(*[torch.nn.Linear(width, 1536 + 576 - width) for _ in range(20) for width in (576, 1536)])
batch = torch.randn(256, 576)
for line in sys.stdin:
    started = time.perf_counter()
    model(batch).sum().backward()
    print(time.perf_counter() - started, flush=True)
"""


def main() -> None:
    """Let both take turns, without and with company; print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=20, help="of each, after two to warm up")
    parser.add_argument("-o", "--output", type=Path, help="results as JSON")
    settings = parser.parse_args()
    alone = compete(settings.turns)
    company = multiprocessing.Process(target=busy, daemon=True)
    company.start()
    beside = compete(settings.turns)
    company.terminate()
    found = {"alone": alone, "beside a busy process": beside}
    for where, by_policy in found.items():
        for policy, took in by_policy.items():
            print(
                f"{where}, {policy}: {took['median']:.3f} s ({took['least']:.3f}-{took['most']:.3f}, n = {took['n']})"
            )
    if settings.output:
        result = {"command": ["python", *sys.orig_argv[1:]], "machine": describe_machine(), "seconds": found}
        settings.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def compete(turns: int) -> dict[str, dict[str, float]]:
    """Seconds of a turn by policy; the one that does not have its turn waits for its input."""
    without = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    children = {
        policy: subprocess.Popen(
            [sys.executable, "-c", CHILD],
            env=without | ({} if policy == "default" else {"OMP_WAIT_POLICY": policy}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for policy in POLICIES
    }
    took: dict[str, list[float]] = {policy: [] for policy in POLICIES}
    for _ in range(turns + 2):
        for policy, child in children.items():
            assert child.stdin
            assert child.stdout
            child.stdin.write("go\n")
            child.stdin.flush()
            took[policy].append(float(child.stdout.readline()))
            time.sleep(0.05)  # until the threads of the one that is done have ceased to spin
    for child in children.values():
        child.communicate()
    counted = {policy: sorted(seconds[2:]) for policy, seconds in took.items()}
    return {
        policy: {"median": statistics.median(seconds), "least": seconds[0], "most": seconds[-1], "n": turns}
        for policy, seconds in counted.items()
    }


def busy() -> None:
    """Compute for ever."""
    while True:
        sum(range(1000))


if __name__ == "__main__":
    main()
