"""Which trainings some studies want: each once, with what every study measures of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.image.palette import palette_of
from hyperfit.image.sequences import build_picture_corpus
from hyperfit.models.loading import load_tokenizer
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.store import key_of, merged
from hyperfit.studies.grid.training import DEFAULTS
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial

Say = Callable[[str], None]
NOT_OF_TEXTS = (
    "method", "late_blocks", "blocks", "target_modules", "rank", "alpha", "lr", "weight_decay", "clip", "unlikelihood",
    "batch_size", "accumulate", "epochs", "stop_loss", "stop", "seed", "order_seed", "order_swaps", "probe_every",
    "greedy_every", "probe_texts", "keep_every", "checkpoint_every",
)  # fmt: skip
"""Settings on which it does not depend whether there is text enough."""


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
        if (palette := palette_of(recipe.model)) is not None:
            build_picture_corpus(recipe, palette)
        else:
            build_corpus(recipe, load_tokenizer(recipe.model))
    except UserError as error:
        return str(error)
    return ""
