"""The lines that docs/howto/own-model.md launches trainings by, typed into a shell: two processes on a CPU."""

import os
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from documented import Command, commands
from hyperfit.cli import main
from small_runs import events

LINES = [one for one in commands("docs/howto/own-model.md") if {"accelerate", "torchrun"} & {*one.words}]
SAMPLES = "8"
SMALL = "--length 16 --epochs 2 --probe-texts 2 --greedy-every 0 --precision fp32"
SEVERAL = {"--num_processes": "2", "--nproc-per-node": "2"}
"""The launchers' flags → how many processes there are here."""
SEQUENCES = 4
"""Of an update, of both processes together."""


def typed(command: Command, world: tuple[str, str], folder: Path, *more: str) -> "subprocess.CompletedProcess[str]":
    """Run a line of the page with another model, texts, sizes and output; each process has one thread."""
    other = {**SEVERAL, "train": world[0], "--data": world[1], "-o": str(folder / "runs" / "two")}
    other |= {"--samples": SAMPLES, "--batch-size": str(SEQUENCES // 2)}
    words = [command.words[0], *(other.get(before, word) for before, word in pairwise(command.words))]
    rank = [] if "full" in words else ["--rank", "4", "--late-blocks", "2"]
    return subprocess.run(
        shlex.join([*words, *rank, *SMALL.split(), *more]), shell=True, cwd=folder, env=environment(folder),
        capture_output=True, text=True, check=False, timeout=400,
    )  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    """Of a shell with the programs at hand: no configuration of accelerate, no GPU, and a free port for each launch."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    alone = {"HF_HOME": str(folder / "home"), "PET_STANDALONE": "1", "ACCELERATE_USE_CPU": "true"}
    return {**os.environ, **alone, "PATH": path, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def alone(world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[object]]:
    """The losses of one process, by what learns."""
    folder = tmp_path_factory.mktemp("alone")
    kinds = {"adapters": "--rank 4 --late-blocks 2", "all": "--method full"}
    for kind, flags in kinds.items():
        data = ["--data", world[1], "--samples", SAMPLES, "--batch-size", str(SEQUENCES), "--device", "cpu"]
        main(["train", world[0], *data, *SMALL.split(), *flags.split(), "-o", str(folder / kind)])
    return {kind: losses(folder / kind) for kind in kinds}


def losses(run: Path) -> list[object]:
    """On the training and validation texts, of all epochs that were trained."""
    rows = [row for row in events(run) if row["event"] == "epoch"][1:]
    return [row[name] for row in rows for name in ("train_loss", "val_loss")]


@pytest.mark.parametrize("line", LINES, ids=["adapters", "divided", "torchrun"])
def test_a_line_trains_in_two_processes_what_one_does(
    line: Command, world: tuple[str, str], tmp_path: Path, alone: dict[str, list[object]]
) -> None:
    """Losses to 1e-4 nats; one run, which the first process speaks of."""
    done = typed(line, world, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    run = tmp_path / "runs" / "two"
    full = "full" in line.words
    assert losses(run) == pytest.approx(alone["all" if full else "adapters"], abs=1e-4)
    assert {path.name for path in run.parent.iterdir()} == ({"two"} if full else {"two", ".prefix-cache"})
    assert (run / ("model" if full else "adapter") / "config.json").exists() == full
    assert done.stderr.count(f"next: hyperfit evaluate {run}") == 1
    assert ("divided among the processes by FSDP2" in done.stderr) == full


@pytest.mark.parametrize("line", LINES[::2], ids=["accelerate", "torchrun"])
def test_a_line_that_is_refused_ends_the_processes_with_status_2(
    line: Command, world: tuple[str, str], tmp_path: Path
) -> None:
    """Each says why, unless the launcher ends it first; the launcher itself ends with a status of its own."""
    done = typed(line, world, tmp_path, "--stop", "never")
    assert done.returncode != 0
    assert 1 <= done.stderr.count("hyperfit: --stop never: ") <= 2
    assert "exitcode  : 2 " in done.stderr
    assert list(tmp_path.iterdir()) == []
