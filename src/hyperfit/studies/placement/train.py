"""Where to adapt: every trial trained, place by place, with the epochs that equal time allows."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from hyperfit.numbers import COUNT, THOUSANDTHS
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import remove
from hyperfit.studies.grid.training import CACHE, Trained, train_trial
from hyperfit.studies.placement.design import Design, PlacementTrial


def train_trials(
    design: Design,
    folder: Path,
    *,
    elsewhere: Callable[[Recipe], RunDir | None] = lambda recipe: None,
    notify: Callable[[str], None] = lambda line: None,
) -> list[Trained[PlacementTrial]]:
    """Every trial of ``design``, the reference first.

    Those at equal time have the epochs that fit into the reference's seconds, at least one.
    A trial that lies in ``folder`` finished, or that ``elsewhere`` finds by its recipe, is not trained again, and one
    that was interrupted goes on. Raises UserError for what training refuses, but not for a trial that diverges.
    """
    done: list[Trained[PlacementTrial]] = []
    places = list(design.trials())
    notify(f"{sum(map(len, places))} trainings, and up to {len(places) - 1} more at equal time, in {folder}")

    def run(trial: PlacementTrial, place: int) -> Trained[PlacementTrial]:
        trained = train_trial(trial, folder, elsewhere)
        notify(
            f"place {place} of {len(places)}, {trial.name}: training loss {THOUSANDTHS.told(trained.train_loss)} after "
            f"{trained.epochs} epochs, {COUNT(trained.seconds)} s{' (trained before)' if trained.found else ''}"
        )
        done.append(trained)
        return trained

    for place, (first, *others) in enumerate(places, start=1):
        trained = run(first, place)
        if len(done) > 1 and not (trained.diverged or done[0].diverged):
            epochs = trained.epochs_within(done[0].seconds)
            if epochs == trained.epochs:
                done.append(replace(trained, trial=replace(first, equal="time")))
            else:
                run(first.within(epochs), place)
        for trial in others:
            run(trial, place)
        remove(folder / CACHE)
    return done
