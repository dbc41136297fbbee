"""What trainings will take, told, and doing them in that order, with what is measured of each right behind it."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait

from hyperfit.console import duration
from hyperfit.numbers import THOUSANDTHS
from hyperfit.prefix.disk.sizes import readable
from hyperfit.studies.grid.plan import Planned
from hyperfit.studies.grid.store import Store, key_of
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.grid.wanted import Say, Wanted
from hyperfit.studies.grid.workers import do_one, workers
from hyperfit.studies.study import Trial


def plan_lines(planned: Sequence[Planned], budget: float | None, count: int = 1, base: float = 0) -> list[str]:
    """What is to be done, for people.

    count: processes that train side by side. base: seconds that it takes to measure the base model, which a budget has
    to have room for.
    """
    left = [one for one in planned if one.left]
    lines = [f"{len(planned)} trainings, {sum(one.done for one in planned)} of them done"]
    if left:
        disk = sum(one.disk for one in left)
        memory = sum(sorted((one.memory for one in left), reverse=True)[:count])
        lines.append(
            f"about {duration(sum(one.seconds for one in left) / count)}, {readable(disk)} of disk, "
            f"{readable(memory)} of memory (rough estimates, with what is measured of each)"
        )
    if base:
        lines.append(f"and about {duration(base)} to measure the base model")
    fits = fitting(left, None if budget is None else budget - base, count)
    if budget is not None:
        seconds = sum(one.seconds for one in fits)
        lines.append(
            f"of which what fits into {duration(budget)} is done, in this order: {len(fits)}, in about "
            f"{duration(seconds / count)}"
        )
    for one in left:
        late = "" if one in fits else "; left out: more than is left of the budget"
        what = " to measure it" if one.done else ""
        lines.append(f"  {one.trial.name} ({', '.join(one.wanted.studies)}): about {duration(one.seconds)}{what}{late}")
    return lines


def fitting(left: Sequence[Planned], budget: float | None, count: int = 1) -> list[Planned]:
    """Those that are expected to end within the budget, by the rule of ``train_all``; all without one."""
    if budget is None:
        return list(left)
    ends, found = [0.0] * count, []
    for one in left:
        free = ends.index(min(ends))
        if ends[free] + one.seconds <= budget:
            ends[free] += one.seconds
            found.append(one)
    return found


def train_all(
    store: Store,
    planned: Sequence[Planned],
    budget: float | None,
    notify: Say,
    count: int = 1,
    measure: Callable[[Wanted, Trained[Trial]], None] | None = None,
) -> dict[str, Trained[Trial]]:
    """Key → training, of all that are done or fit into the budget; how far it is, and what is left, is said.

    count: processes that train side by side. measure: what each of them does with what it has trained.
    """
    started, trained, left = time.monotonic(), dict[str, Trained[Trial]](), []
    running: dict[Future[Trained[Trial]], Planned] = {}
    waiting = [one for one in planned if one.left]
    trained |= {key_of(one.trial.recipe): store.train(one.trial) for one in planned if not one.left}

    def collect(when: str) -> None:
        for future in wait(running, return_when=when).done:
            one = running.pop(future)
            found = trained[key_of(one.trial.recipe)] = future.result()
            rest = sum(other.seconds for other in (*waiting, *running.values())) / count
            notify(
                f"{len(trained)} of {len(planned)}, {one.trial.name}: loss {THOUSANDTHS.told(found.train_loss)} after "
                f"{found.epochs} epochs, {duration(found.seconds)}; about {duration(rest)} left"
            )

    try:
        with workers(min(count, max(1, len(waiting)))) as pool:
            while waiting:
                one = waiting.pop(0)
                if len(running) == count:
                    collect(FIRST_COMPLETED)
                spent = time.monotonic() - started
                if budget is not None and spent + one.seconds > budget:
                    left.append(one)
                    continue
                running[pool.submit(do_one, store, one.wanted, measure)] = one
            collect(ALL_COMPLETED)
    except KeyboardInterrupt:
        notify("interrupted; repeat the command to go on")
        raise
    if left:
        notify(
            f"left out, as the budget is used up: {', '.join(one.trial.name for one in left)} (about "
            f"{duration(sum(one.seconds for one in left))}); repeat with a larger --budget to go on"
        )
    return trained
