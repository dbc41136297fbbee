"""Which trainings some studies want: each once, with what every study measures of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from hyperfit.studies.grid.store import key_of, merged
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wanted:
    """A training and what it is for."""

    trial: Trial
    """With the looks that all studies want."""
    models: tuple[tuple[str, Trial], ...]
    """Study → what it measures of this training: its end, a kept epoch or a part of its change."""

    @property
    def studies(self) -> tuple[str, ...]:
        """Which studies want it."""
        return tuple(dict.fromkeys(name for name, _ in self.models))


def wanted_by(studies: Sequence[Study], settings: StudySettings) -> list[Wanted]:
    """Every training once: all with the first seed, then all with the next."""
    found: dict[str, Wanted] = {}
    for seed in range(settings.seeds):
        for study in studies:
            for trial in seeded(study, settings, seed):
                key = key_of(trial.recipe)
                there = found.get(key, Wanted(trial, ()))
                looks = replace(there.trial, recipe=merged(there.trial.recipe, trial.recipe))
                found[key] = Wanted(looks, (*there.models, (study.name, trial)))
    return list(found.values())


def seeded(study: Study, settings: StudySettings, seed: int) -> list[Trial]:
    """The study's trainings with one seed."""
    return [replace(one, recipe=replace(one.recipe, seed=seed)) for one in study.trials(settings)]
