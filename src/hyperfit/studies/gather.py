"""All that a study goes by: its models, measured where they were trained, and found in the store when it is told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from hyperfit.console import within
from hyperfit.errors import UserError
from hyperfit.evaluation.tasks.harness import Harness
from hyperfit.evaluation.tasks.named import load_harness
from hyperfit.studies.catalogue import load_study
from hyperfit.studies.grid.store import key_of
from hyperfit.studies.grid.training import Trained, trained_by
from hyperfit.studies.grid.wanted import Wanted, seeded
from hyperfit.studies.measures.bench import BLOCKED
from hyperfit.studies.measures.measurer import Measurer, bench_of
from hyperfit.studies.measures.results import BASE, Model, Results
from hyperfit.studies.study import Study, Trial


@dataclass(frozen=True)
class Measures:
    """Measures a training for all studies that want it, in whichever process trained it.

    What a scorer says comes when the study is told: it is loaded once, there.
    """

    measurer: Measurer
    trials: tuple[Trial, ...]
    """All that are to be trained: none reads the contexts."""
    on_tasks: bool = False
    """Whether the tasks of the settings can be done here."""

    def __call__(self, wanted: Wanted, trained: Trained[Trial]) -> None:
        """Everything into the store."""
        device = trained.run.recipe.device
        here = self.measurer if device == "auto" else self.measurer.on(torch.device(device))
        for name, trial in wanted.models:
            study = load_study(name)
            with_tasks = replace(here, harness=self.harness if study.tasks else None)
            for measurer, asked in measurements(study, with_tasks, self.trials):
                model_of(asked, measurer, replace(trained, trial=trial))

    @property
    def harness(self) -> Harness | None:
        """The tasks, loaded once a process."""
        settings = self.measurer.settings
        return harness_of(settings.tasks, settings.task_limit, self.measurer.store.folder) if self.on_tasks else None


@cache
def harness_of(tasks: tuple[str, ...], limit: int | None, folder: Path) -> Harness:
    """Tasks of a study's folder, in which what is ours of them lies."""
    return load_harness(tasks, limit, folder / "tasks")


def measurements(study: Study, measurer: Measurer, trials: Sequence[Trial]) -> list[tuple[Measurer, Study]]:
    """The study as it is, then with longer texts where it asks for them and the sources hold some."""
    found = [(measurer, study)]
    for total in study.more_totals:
        if total > measurer.settings.total:
            longer = replace(measurer.settings, total=total)
            try:
                bench = bench_of(longer, trials)
            except UserError:
                continue  # no text is as long
            found.append((replace(measurer, settings=longer, bench=bench), replace(study, extras=())))
    return found


def model_of(study: Study, measurer: Measurer, one: Trained[Trial]) -> tuple[Trained[Trial], Model | None]:
    """A trial's training, up to the epoch that it is about, and its model measured; None where training diverged."""
    trial = one.trial
    if trial.epoch and not one.diverged:
        one = trained_by(trial, one.run.kept.get(trial.epoch(one.run), one.run), found=True)
    if one.diverged:
        return one, None
    with within(f"{study.name}, {trial.name}"):
        model = measurer.model(
            str(one.run.path),
            study.decodings(measurer.settings),
            measurer.bench.trained_on(one.run),
            strength=trial.strength,
            extras=study.extras,
        )
    return one, replace(model, seed=trial.recipe.seed)


def results_of(
    study: Study, measurer: Measurer, trained: dict[str, Trained[Trial]], trials: Sequence[Trial]
) -> Results:
    """Everything the study has to go by, measured where that is not done yet.

    trials: all that were to be trained, whether or not they are: what models are measured on hangs on them.
    """
    (_, _), *longer = measurements(study, measurer, trials)
    results = results_at(study, measurer, trained)
    for again, same in longer:
        results.longer[again.settings.total] = results_at(same, again, trained)
    return results


def results_at(study: Study, measurer: Measurer, trained: dict[str, Trained[Trial]]) -> Results:
    """Everything at one length of texts."""
    settings, bench = measurer.settings, measurer.bench
    decodings = study.decodings(settings)
    trainings: dict[str, list[Trained[Trial]]] = {}
    models: dict[str, list[Model]] = {}
    for seed in range(settings.seeds):
        for trial in seeded(study, settings, seed):
            trainings.setdefault(trial.label, [])
            models.setdefault(trial.label, [])
            if there := trained.get(key_of(trial.recipe)):
                one, model = model_of(study, measurer, replace(there, trial=trial))
                trainings[trial.label].append(one)
                models[trial.label] += [model] if model else []
    first = next((one for of_label in trainings.values() for one in of_label if not one.diverged), None)
    reading: list[list[int]] = bench.trained_on(first.run) if first else []
    of_base = (study.base_decodings or study.decodings)(settings)
    unblocked = [name for name in of_base if not name.endswith(BLOCKED)]
    with within(f"{study.name}, {BASE}"):
        base = measurer.model(settings.model, unblocked, reading, extras=study.extras)
    human = measurer.human(decodings, reading)
    return Results(settings, base, human, trainings, models, bench.texts.sources, bench.contexts)
