"""Where studies keep what is dear: trained runs and what was measured of models, each under what it depends on."""

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.models.loading import load_config
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import remove, writing
from hyperfit.studies.grid.training import DEFAULTS, Trained, has_ended, sound, train_at, trained_by, what_trains
from hyperfit.studies.study import Trial

LOOKS = ("probe_every", "greedy_every", "keep_every")
"""How often a training is looked at; 0 for not between its ends."""
EXTENT = ("probe_texts", "validation_samples")
"""On how many texts."""


@dataclass(frozen=True)
class Store:
    """A folder with ``runs/`` and ``measured/``, shared by all studies of a model."""

    folder: Path

    @property
    def cache(self) -> Path:
        """Of prefix caches."""
        return self.folder / ".prefix-cache"

    def place(self, recipe: Recipe) -> Path:
        """The folder of the run that a recipe gives, there or not."""
        return self.folder / "runs" / key_of(recipe)

    def done(self, recipe: Recipe) -> bool:
        """Whether that run has ended, was looked at as often as the recipe asks, and can be read."""
        run = RunDir(self.place(recipe))
        try:
            return has_ended(run) and sound(run, partial(self.serves, recipe))
        except UserError:
            return False

    def serves(self, recipe: Recipe, there: Recipe) -> bool:
        """Whether what a recipe there gave is what the wanted one would give, looked at as often."""
        return key_of(there) == key_of(recipe) and looked_at(there, recipe)

    def found(self, trial: Trial) -> Trained[Trial]:
        """A training that is ``done``, as it lies there."""
        return trained_by(trial, RunDir(self.place(trial.recipe)), found=True)

    def train(self, trial: Trial) -> Trained[Trial]:
        """The training as a run of the store: found there, gone on with, or done.

        One that has ended and was looked at too little stays until another, that is looked at as wanted, has ended.
        """
        recipe = trial.recipe
        path, same = self.place(recipe), partial(self.serves, recipe)
        if self.done(recipe) or not self.ended(recipe):
            return train_at(trial, path, same=same, cache=self.cache)
        aside = self.folder / "again" / path.name
        train_at(trial, aside, same=same, cache=self.cache)
        remove(path)
        aside.rename(path)
        return trained_by(trial, RunDir(path), found=False)

    def ended(self, recipe: Recipe) -> bool:
        """Whether that run has ended, however it was looked at."""
        run = RunDir(self.place(recipe))
        try:
            return key_of(run.recipe) == run.path.name and has_ended(run)
        except UserError:
            return False

    def runs(self) -> Iterator[RunDir]:
        """All runs that have ended, and can be read."""
        for path in sorted((self.folder / "runs").glob("*/")):
            run = RunDir(path)
            with suppress(UserError):
                if (path / "recipe.json").is_file() and has_ended(run) and run.environment:
                    yield run

    def has(self, what: dict[str, Any]) -> bool:
        """Whether there is a measurement under this description."""
        return self._file(what).is_file()

    def read(self, what: dict[str, Any]) -> dict[str, Any] | None:
        """What was measured under this description, if it was."""
        try:
            found = json.loads(self._file(what).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return None
        return found["measured"] if isinstance(found, dict) and found.get("of") == plain(what) else None

    def write(self, what: dict[str, Any], measured: dict[str, Any]) -> None:
        """Keep a measurement."""
        file = self._file(what)
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing(file) as aside:
            aside.write_text(json.dumps({"of": plain(what), "measured": measured}, ensure_ascii=False))

    def known(self, what: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What was measured under this description; measured now, and kept, if it was not."""
        found = self.read(what)
        if found is None:
            found = find()
            self.write(what, found)
        return found

    def _file(self, what: dict[str, Any]) -> Path:
        return self.folder / "measured" / f"{digest(what)}.json"


def key_of(recipe: Recipe) -> str:
    """Twelve hexadecimal digits over all that the trained weights depend on, up to the machine; looks do not count.

    What is left open is filled in first, so that a default named and a default meant are one; settings at their default
    do not count, so that one that is new leaves old trainings theirs. Raises UserError if the model's config cannot be
    read.
    """
    config = load_config(recipe.model).get_text_config(decoder=True)
    depth = config.num_hidden_layers
    said = what_trains(filled_in(recipe, depth, config.hidden_size), depth).to_dict()
    return digest(
        {name: value for name, value in said.items() if name not in DEFAULTS or value != plain(DEFAULTS[name])}
    )


def looked_at(done: Recipe, wanted: Recipe) -> bool:
    """Whether a training was looked at as often, and on as much, as another is to be."""
    if any(getattr(done, name) < getattr(wanted, name) for name in EXTENT):
        return False
    return all(
        (every := getattr(wanted, name)) == 0 or (getattr(done, name) > 0 and every % getattr(done, name) == 0)
        for name in LOOKS
    )


def merged(first: Recipe, second: Recipe) -> Recipe:
    """One recipe with the looks of two that train the same."""
    often: dict[str, Any] = {
        name: min(filter(None, (getattr(first, name), getattr(second, name))), default=0) for name in LOOKS
    }
    much: dict[str, Any] = {name: max(getattr(first, name), getattr(second, name)) for name in EXTENT}
    return replace(first, **often, **much)


def diverged(run: RunDir) -> bool:
    """Whether training ended without a model."""
    return (run.end or {}).get("reason") == "nan"


def digest(what: dict[str, Any]) -> str:
    """Twelve hexadecimal digits of SHA-256 over plain values."""
    return hashlib.sha256(json.dumps(plain(what), sort_keys=True).encode()).hexdigest()[:12]


def plain(what: Any) -> Any:
    """The value as JSON gives it back."""
    return json.loads(json.dumps(what, default=str))
