"""What a study measures of every model besides what all studies do."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from hyperfit.metrics.predictions.predict import Reader
from hyperfit.runs.directory import RunDir
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.settings import StudySettings


@dataclass(frozen=True)
class Subject:
    """The model that is measured, on what."""

    settings: StudySettings
    bench: Bench
    run: RunDir | None
    """None: the base model."""
    training: list[list[int]]
    """The sequences it was trained on; of the base model, those of one training."""
    load: Callable[[], Reader]

    @cached_property
    def reader(self) -> Reader:
        """The model, loaded when it is first asked for."""
        return self.load()


@dataclass(frozen=True)
class Extra:
    """A measurement of a study's own; it is kept as plain values under what it depends on, and made once."""

    name: str
    """By which the study finds it, and under which it is kept."""
    of: Callable[[Subject], dict[str, Any]]
    about: Callable[[StudySettings], dict[str, Any]] = lambda settings: {}
    """What it depends on besides the weights, the texts and the precision."""
    of_base: bool = True
    """Whether the base model is measured, too."""
    rounds: Callable[[StudySettings], float] = lambda settings: 1.0
    """About how long it takes, in times of continuing all contexts."""
