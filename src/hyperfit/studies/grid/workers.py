"""Trainings side by side: in this process one after another, or in several, each with its share of the machine."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any

import torch

from hyperfit.console import within
from hyperfit.errors import UserError
from hyperfit.studies.grid.store import Store
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.grid.wanted import Wanted
from hyperfit.studies.study import Trial


class AtOnce(Executor):
    """Does what it is given when it is given it."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """A future that has come already; what the call raises is raised here."""
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


@contextmanager
def workers(count: int) -> Iterator[Executor]:
    """What trains: this process, or ``count`` others.

    Each of several has an equal share of the threads, and a GPU of its own where there are several. Raises UserError
    where one of them is killed: what was trained stays, and a training under way goes on from its checkpoint.
    """
    if count == 1:
        yield AtOnce()
        return
    context = multiprocessing.get_context("spawn")
    numbers = context.Queue()
    for number in range(count):
        numbers.put(number)
    pool = ProcessPoolExecutor(
        count, mp_context=context, initializer=begin, initargs=(numbers, max(1, torch.get_num_threads() // count))
    )
    try:
        yield pool
    except KeyboardInterrupt:
        with passing_on():
            interrupt_children()  # of SIGTERM they know nothing
            pool.shutdown(cancel_futures=True)
        raise
    except BrokenProcessPool as error:
        raise UserError(
            "--workers: a process that trained was killed, perhaps as memory ran out; nothing is lost: repeat the "
            "command, with fewer --workers if it happens again"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def passing_on() -> Iterator[None]:
    """SIGINT and SIGTERM go to the processes that train, inside the block: a second one stops these at once.

    In this process it would break off the wait for them, which leaves them, and it, without an end.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, lambda *asked: interrupt_children()) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupt_children() -> None:
    """SIGINT for every process that this one has started."""
    for child in multiprocessing.active_children():
        with suppress(ProcessLookupError):
            os.kill(child.pid or 0, signal.SIGINT)


def begin(numbers: Any, threads: int) -> None:
    """Take a share of the machine, and watch the process that asked, as the first thing in a process.

    SIGINT ends it, also where a shell that started all of this in the background lets that signal be ignored.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()
    torch.set_num_threads(threads)
    gpus = torch.cuda.device_count()
    if gpus > 1:
        os.environ[DEVICE] = f"cuda:{numbers.get() % gpus}"


def end_with(parent: int) -> None:
    """Interrupt this process, so that its training leaves a checkpoint, once the one that started it is gone."""
    while os.getppid() == parent:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGINT)


DEVICE = "HYPERFIT_WORKER_DEVICE"
"""Environment variable in which a process of several keeps its GPU."""


def do_one(
    store: Store, wanted: Wanted, measure: Callable[[Wanted, Trained[Trial]], None] | None = None
) -> Trained[Trial]:
    """The training, and what is measured of it, on this process's GPU if it has one and the recipe does not say."""
    trial, device = wanted.trial, os.environ.get(DEVICE)
    if device and trial.recipe.device in ("auto", "cuda"):
        trial = replace(trial, recipe=replace(trial.recipe, device=device))
    try:
        with within(trial.name):
            trained = store.train(trial)
        if measure is not None:
            measure(wanted, trained)
    except KeyboardInterrupt:
        parent = multiprocessing.parent_process()
        if parent is not None and not parent.is_alive():
            os._exit(130)  # who would be told, and end this process, is gone; it would wait for more work for ever
        raise
    return trained
