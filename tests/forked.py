"""Processes forked from one that has imported what hyperfit needs: a start of an interpreter takes seconds.

They share that one's hash seed; what has to hold between interpreters is tested with one.
"""

import multiprocessing
import os
import sys
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess

import torch

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["hyperfit.cli", "hyperfit.play.playground", "hyperfit.training.train"])

START = "from hyperfit.cli import main; main()"
"""A command, as one types it."""


def python(code: str, *arguments: object, stdout: int | None = None) -> ForkServerProcess:
    """A process that runs code with a script's arguments, begun. stdout: a descriptor for what it prints.

    Its exitcode is minus the signal that killed it. It has no input, and its errors are shown with those of the tests.
    """
    given = os.open(os.devnull, os.O_WRONLY) if stdout is None else os.dup(stdout)
    out = Connection(given, readable=False)  # which is handed on as the descriptor that it is
    argv = ["-c", *map(str, arguments)]
    process = FORKS.Process(target=run, args=(code, argv, dict(os.environ), out), daemon=True)
    process.start()
    out.close()
    return process


def run(code: str, argv: list[str], environment: dict[str, str], out: Connection) -> None:
    """Run code, by one thread as the tests do: the order of a sum depends on their number."""
    torch.set_num_threads(1)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = argv
    os.dup2(out.fileno(), 1)
    out.close()
    with open(1, "w", closefd=False) as sys.stdout:
        exec(code, {"__name__": "__main__"})
