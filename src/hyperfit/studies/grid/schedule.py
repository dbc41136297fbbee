"""Which trainings some studies want, what they will take, and doing them in that order."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import cache

from hyperfit.console import duration
from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.models.loading import load_tokenizer
from hyperfit.numbers import THOUSANDTHS
from hyperfit.prefix.sizes import readable
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.plan import Planned
from hyperfit.studies.grid.store import Store, key_of, merged
from hyperfit.studies.grid.training import DEFAULTS, Trained
from hyperfit.studies.grid.workers import train_one, workers
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial

Say = Callable[[str], None]
NOT_OF_TEXTS = (
    "method", "late_blocks", "blocks", "target_modules", "rank", "alpha", "lr", "weight_decay", "clip", "unlikelihood",
    "batch_size", "accumulate", "epochs", "stop_loss", "stop", "seed", "order_seed", "order_swaps", "probe_every",
    "greedy_every", "probe_texts", "keep_every", "checkpoint_every",
)  # fmt: skip
"""Settings on which it does not depend whether there is text enough."""


def wanted_by(studies: Sequence[Study], settings: StudySettings) -> list[tuple[Trial, tuple[str, ...]]]:
    """Every training once, with the studies that want it: all with the first seed, then all with the next."""
    found: dict[str, tuple[Trial, tuple[str, ...]]] = {}
    for seed in range(settings.seeds):
        for study in studies:
            for trial in seeded(study, settings, seed):
                key = key_of(trial.recipe)
                if key in found:
                    first, names = found[key]
                    trial = replace(first, recipe=merged(first.recipe, trial.recipe))
                    found[key] = (trial, tuple(dict.fromkeys((*names, study.name))))
                else:
                    found[key] = (trial, (study.name,))
    return list(found.values())


def seeded(study: Study, settings: StudySettings, seed: int) -> list[Trial]:
    """The study's trainings with one seed."""
    return [replace(one, recipe=replace(one.recipe, seed=seed)) for one in study.trials(settings)]


def possible(trial: Trial, notify: Say) -> bool:
    """Whether there is text enough for a training; said if not."""
    lack = lacking(replace(trial.recipe, **{name: DEFAULTS[name] for name in NOT_OF_TEXTS}))
    if lack:
        notify(f"{trial.name} is left out: {lack}")
    return not lack


@cache
def lacking(recipe: Recipe) -> str:
    """What is missing of a recipe's texts; nothing where they do."""
    try:
        build_corpus(recipe, load_tokenizer(recipe.model))
    except UserError as error:
        return str(error)
    return ""


def plan_lines(planned: Sequence[Planned], budget: float | None, count: int = 1) -> list[str]:
    """What is to be done, for people. count: processes that train side by side."""
    left = [one for one in planned if not one.done]
    lines = [f"{len(planned)} trainings, {len(planned) - len(left)} of them done"]
    if left:
        disk = sum(one.disk for one in left)
        memory = sum(sorted((one.memory for one in left), reverse=True)[:count])
        lines.append(
            f"about {duration(sum(one.seconds for one in left) / count)}, {readable(disk)} of disk, "
            f"{readable(memory)} of memory (rough estimates of the trainings; measuring comes on top)"
        )
    if budget is not None:
        lines.append(f"of which what fits into {duration(budget)} is done, in this order")
    lines += [f"  {one.trial.name} ({', '.join(one.studies)}): about {duration(one.seconds)}" for one in left]
    return lines


def train_all(
    store: Store, planned: Sequence[Planned], budget: float | None, notify: Say, count: int = 1
) -> dict[str, Trained[Trial]]:
    """Key → training, of all that are done or fit into the budget; how far it is, and what is left, is said.

    count: processes that train side by side.
    """
    started, trained, left = time.monotonic(), dict[str, Trained[Trial]](), []
    running: dict[Future[Trained[Trial]], Planned] = {}
    waiting = [one for one in planned if not one.done]
    trained |= {key_of(one.trial.recipe): store.train(one.trial) for one in planned if one.done}

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
                running[pool.submit(train_one, store, one.trial)] = one
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
