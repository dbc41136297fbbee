"""Interpreters of their own, forked from one that has imported what all need: a start of each takes seconds."""

import multiprocessing
import os
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import torch

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["hyperfit.cli", "hyperfit.play.playground", "hyperfit.training.train"])


START = "from hyperfit.cli import main; main()"
"""A command, as one types it."""


def python(code: str, *arguments: object, stdout: Path | None = None) -> ForkServerProcess:
    """A process that runs code as ``python -c`` does, begun. stdout: a file, FIFO or terminal for what it prints.

    Its exitcode is minus the signal that killed it.
    """
    argv = ["-c", *map(str, arguments)]
    process = FORKS.Process(target=run, args=(code, argv, dict(os.environ), str(stdout or os.devnull)))
    process.start()
    return process


def run(code: str, argv: list[str], environment: dict[str, str], stdout: str) -> None:
    """Run code with a script's arguments, by one thread as the tests do: the order of a sum depends on their number."""
    torch.set_num_threads(1)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    with open(stdout, "w", buffering=1) as sys.stdout:
        os.dup2(sys.stdout.fileno(), 1)
        exec(code, {"__name__": "__main__"})
