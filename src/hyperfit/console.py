"""What long work shows on stderr: lines now and then, and progress bars where stderr is a terminal."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hyperfit.numbers import COUNT, PERCENT

Advance = Callable[[int], None]
Clock = Callable[[], float]

EVERY = 20.0
"""Seconds without a line after which long work says how far it is, where there is no bar to see."""


@dataclass
class News:
    """When the last line was printed: whatever work it was of, the next one can wait."""

    clock: Clock = time.monotonic
    """Seconds from any start."""
    last: float = 0.0

    def __post_init__(self) -> None:
        self.last = self.clock()

    def due(self) -> bool:
        """Whether nothing was said for a while."""
        return self.clock() - self.last >= EVERY


NEWS = News()


def say(line: str) -> None:
    """Print a line of news to stderr; if nobody can read it any more, go on without."""
    NEWS.last = NEWS.clock()
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


@dataclass
class Work:
    """Long work under way, and how it is shown."""

    what: str
    total: int
    each: int
    """Texts that a step writes."""
    started: float
    show: Callable[["Work"], None]
    done: int = 0
    """Steps that are complete."""
    part: float = 0.0
    """Steps' worth of what is not."""

    def advance(self, steps: int) -> None:
        """So many more steps are complete."""
        self.done, self.part = self.done + steps, 0.0
        self.show(self)

    def line(self, now: float) -> str:
        """What is done, of how much, and how long the rest will take, judged by what is done."""
        share = (self.done + self.part) / self.total if self.total else 1.0
        left = f", about {duration((now - self.started) * (1 / share - 1))} left" if 0 < share < 1 else ""
        whole = ": ".join([*WITHIN, self.what])
        return f"{whole}: {COUNT(self.done)} of {COUNT(self.total)} ({PERCENT.told(min(share, 1))}{left})"


RUNNING: list[Work] = []
"""The work under way; the last is inside those before it."""


WITHIN: list[str] = []
"""What the work under way is a part of, the whole first: lines begin with it."""


@contextmanager
def within(name: str) -> Iterator[None]:
    """Say that work inside of the block is a part of ``name``."""
    WITHIN.append(name)
    try:
        yield
    finally:
        WITHIN.pop()


def partly(texts: float) -> None:
    """Of the work under way, if any, so many texts' worth is done beside the steps that are complete."""
    if RUNNING:
        RUNNING[-1].part = texts / RUNNING[-1].each
        RUNNING[-1].show(RUNNING[-1])


@contextmanager
def progress(what: str, total: int, *, each: int = 1, quiet: bool = False) -> Iterator[Advance]:
    """Show how far the block is while it runs; call what it yields with the number of steps done.

    A bar with the time left where stderr is a terminal; else a line after every EVERY seconds without one. each: texts
    that are written in one step. quiet: show nothing.
    """
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        task = bar.add_task(": ".join([*WITHIN, what]), total=total)

        def show(work: Work) -> None:
            if not bar.disable:
                bar.update(task, completed=work.done + work.part)
            elif not quiet and NEWS.due():
                say(work.line(NEWS.clock()))

        RUNNING.append(Work(what, total, each, NEWS.clock(), show))
        try:
            yield RUNNING[-1].advance
        finally:
            RUNNING.pop()


def duration(seconds: float) -> str:
    """A time to wait, as people say it: 40 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(round(seconds), 1)} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
