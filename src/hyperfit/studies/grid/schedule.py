"""Which trainings some studies want, what they will take, and doing them in that order."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from hyperfit.console import duration
from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.models.loading import load_tokenizer
from hyperfit.numbers import TENTHS, THOUSANDTHS
from hyperfit.studies.grid.plan import Planned
from hyperfit.studies.grid.store import Store, key_of, merged
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial

Say = Callable[[str], None]


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
    try:
        build_corpus(trial.recipe, load_tokenizer(trial.recipe.model))
    except UserError as error:
        notify(f"{trial.name} is left out: {error}")
        return False
    return True


def plan_lines(planned: Sequence[Planned], budget: float | None) -> list[str]:
    """What is to be done, for people."""
    left = [one for one in planned if not one.done]
    lines = [f"{len(planned)} trainings, {len(planned) - len(left)} of them done"]
    if left:
        disk, memory = sum(one.disk for one in left) / 1e9, max(one.memory for one in left) / 1e9
        lines.append(
            f"about {duration(sum(one.seconds for one in left))}, {TENTHS(disk)} GB of disk, {TENTHS(memory)} GB of "
            "memory "
            "(rough estimates)"
        )
    if budget is not None:
        lines.append(f"of which what fits into {duration(budget)} is done, in this order")
    lines += [f"  {one.trial.name} ({', '.join(one.studies)}): about {duration(one.seconds)}" for one in left]
    return lines


def train_all(store: Store, planned: Sequence[Planned], budget: float | None, notify: Say) -> dict[str, Trained[Trial]]:
    """Key → training, of all that are done or fit into the budget; how far it is, and what is left, is said."""
    started, trained, left = time.monotonic(), dict[str, Trained[Trial]](), []
    for number, one in enumerate(planned, start=1):
        spent = time.monotonic() - started
        if budget is not None and not one.done and spent + one.seconds > budget:
            left.append(one)
            continue
        key = key_of(one.trial.recipe)
        try:
            trained[key] = store.train(one.trial)
        except KeyboardInterrupt:
            notify("interrupted; repeat the command to go on")
            raise
        if not one.done:
            took, rest = time.monotonic() - started - spent, sum(other.seconds for other in planned[number:])
            notify(
                f"{number} of {len(planned)}, {one.trial.name}: loss {THOUSANDTHS.told(trained[key].train_loss)} after "
                f"{trained[key].epochs} epochs, {duration(took)}; about {duration(rest)} left"
            )
    if left:
        notify(
            f"left out, as the budget is used up: {', '.join(one.trial.name for one in left)} (about "
            f"{duration(sum(one.seconds for one in left))}); repeat with a larger --budget to go on"
        )
    return trained
