"""A run's epochs in experiment trackers, by accelerate's own; off unless asked for."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import ProjectConfiguration

from hyperfit.errors import UserError, pip_install
from hyperfit.recipes.recipe import Recipe, Tracker
from hyperfit.runs.card import named
from hyperfit.runs.directory import RunDir

PROJECT = "hyperfit"
"""The project, or experiment, in which runs appear."""
FOLDER = "tensorboard"
"""Of a run, where TensorBoard's files lie; the others know themselves where they write."""

Track = Callable[[Mapping[str, Any]], None]
"""Takes an event of the log."""


def check_trackers(names: Sequence[Tracker]) -> None:
    """Raises UserError for trackers whose package is not installed."""
    if absent := [name for name in dict.fromkeys(names) if name not in installed()]:
        raise UserError(
            *(f"--log-with {name}: its package is not there; {pip_install(name)}, or leave it out" for name in absent)
        )


def installed() -> set[str]:
    """Trackers whose package is installed."""
    return {str(tracker.value) for tracker in get_available_trackers()}


def tracked_by(names: Sequence[Tracker], folder: Path) -> dict[str, Any]:
    """Arguments for an Accelerator that has these trackers, as far as they are installed. folder: of the run."""
    if not (there := [name for name in names if name in installed()]):
        return {}
    place = ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder / FOLDER))
    return {"log_with": there, "project_config": place}


@contextmanager
def tracking(accelerator: Accelerator, run: RunDir, recipe: Recipe) -> Iterator[Track]:
    """Yield what gives an event's numbers to the accelerator's trackers, if it has any; close them after the block.

    They are told the recipe, without folders of this machine, and the fingerprint of the data. Raises UserError if one
    cannot be started.
    """
    known = {**named(recipe), "data_fingerprint": run.environment["data_fingerprint"]}
    plain = {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in known.items()}
    name = run.path.absolute().name
    own = {"wandb": {"name": name}, "trackio": {"name": name}, "mlflow": {"run_name": name}}
    try:
        accelerator.init_trackers(PROJECT, config=plain, init_kwargs=own)
    except Exception as error:  # whatever a service or its client may have against it
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise UserError(
            f"--log-with {' '.join(map(str, accelerator.log_with))}: cannot be started ({reason}); mend that, or leave "
            "it out, and repeat the command with --resume"
        ) from error

    def track(event: Mapping[str, Any]) -> None:
        numbers = {name: value for name, value in event.items() if name != "step" and isinstance(value, (int, float))}
        accelerator.log(numbers, step=event["step"])

    try:
        yield track
    finally:
        for tracker in accelerator.trackers:
            tracker.finish()
