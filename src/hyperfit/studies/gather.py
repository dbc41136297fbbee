"""All that a study goes by: its models, measured where they were trained, and found in the store when it is told."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import torch

from hyperfit.console import within
from hyperfit.errors import UserError
from hyperfit.evaluation.tasks import continuation
from hyperfit.evaluation.tasks.harness import Harness
from hyperfit.evaluation.tasks.named import load_harness
from hyperfit.studies.catalogue import load_study
from hyperfit.studies.grid.plan import CONTINUATION, WRITTEN, beams
from hyperfit.studies.grid.store import digest, key_of
from hyperfit.studies.grid.training import Trained, trained_by
from hyperfit.studies.grid.wanted import Wanted, seeded
from hyperfit.studies.measures.bench import BLOCKED, Bench
from hyperfit.studies.measures.measurer import Asked, Measurer, bench_of
from hyperfit.studies.measures.results import BASE, Model, Results
from hyperfit.studies.study import Study, Trial

TASKS = "tasks"
"""Folder, beside the studies, of what is ours of tasks."""


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
    longer: dict[int, list[Bench]] = field(default_factory=dict, repr=False)
    """By length, on what longer texts are measured, once it was asked for; nothing where no text is as long."""

    def __call__(self, wanted: Wanted, trained: Trained[Trial]) -> None:
        """Everything into the store."""
        device = trained.run.recipe.device
        for name, trial in wanted.models:
            for measurer, study in self.of_study(load_study(name)):
                here = measurer if device == "auto" else measurer.on(torch.device(device))
                model_of(study, here, replace(trained, trial=trial))

    def of_study(self, study: Study) -> list[tuple[Measurer, Study]]:
        """What measures, at every length of texts."""
        with_tasks = replace(self.measurer, harness=self.harness if study.tasks else None)
        return measurements(study, with_tasks, self.trials, self.longer)

    def left(self, wanted: Wanted, of: str | None = None) -> float:
        """What is not yet known of a training that is done: how many texts are written in the time that it takes.

        of: the study that it is to be known for; None: all that want it.
        """
        found: dict[str, float] = {}
        trained = self.measurer.store.found(wanted.trial)
        for name, trial in wanted.models:
            for measurer, study in self.planned(load_study(name)) if of in (None, name) else ():
                _, asked = asked_of(study, measurer, replace(trained, trial=trial))
                found |= self.unknown(study, measurer, asked) if asked else {}
        return sum(found.values())

    def left_of_base(self, studies: Sequence[Study]) -> float:
        """The same of the base model."""
        found: dict[str, float] = {}
        store = self.measurer.store
        for study in studies:
            settings = self.measurer.settings
            by_seed = [seeded(study, settings, seed) for seed in range(settings.seeds)]
            trials = [one for of_label in zip(*by_seed, strict=True) for one in of_label]  # as results_at has them
            done = [store.found(one) for one in trials if store.done(one.recipe)]
            for measurer, same in self.planned(study):
                found |= self.unknown(same, measurer, asked_of_base(same, measurer, done))
        return sum(found.values())

    def planned(self, study: Study) -> list[tuple[Measurer, Study]]:
        """As ``of_study``, but of tasks ours alone, where it lies in the folder: a plan writes and fetches nothing."""
        folder, settings = self.measurer.store.folder, self.measurer.settings
        ours = study.tasks and self.on_tasks and continuation.NAME in settings.tasks and (folder / TASKS).is_dir()
        harness = harness_of((continuation.NAME,), settings.task_limit, folder) if ours else None
        return measurements(study, replace(self.measurer, harness=harness), self.trials, self.longer)

    def unknown(self, study: Study, measurer: Measurer, asked: Asked) -> dict[str, float]:
        """What is not in the store yet: its key, and how many texts of the settings' length are written in its time."""
        keys, contexts, settings = measurer.keys(asked), measurer.settings.most_contexts, self.measurer.settings
        longer = measurer.settings.total / settings.total
        rounds = {one.name: one.rounds(measurer.settings) for one in asked.extras}
        prices = [
            (keys.predictions, contexts * longer / (1 + WRITTEN)),
            *((key, contexts * longer * beams(way)) for way, key in keys.written.items()),
            *((key, contexts * rounds[name]) for name, key in keys.extras.items()),
            *((key, CONTINUATION * (name == continuation.NAME)) for name, key in keys.tasks.items()),
        ]
        found = {digest(key): float(price) for key, price in prices if not measurer.store.has(key)}
        if study.tasks and self.on_tasks and measurer.harness is None and continuation.NAME in settings.tasks:
            found[f"{digest(keys.predictions)}, {continuation.NAME}"] = CONTINUATION
        return found

    @property
    def harness(self) -> Harness | None:
        """The tasks, loaded once a process."""
        settings = self.measurer.settings
        return harness_of(settings.tasks, settings.task_limit, self.measurer.store.folder) if self.on_tasks else None


@cache
def harness_of(tasks: tuple[str, ...], limit: int | None, folder: Path) -> Harness:
    """Tasks of a study's folder, in which what is ours of them lies."""
    return load_harness(tasks, limit, folder / TASKS)


def measurements(
    study: Study, measurer: Measurer, trials: Sequence[Trial], known: dict[int, list[Bench]] | None = None
) -> list[tuple[Measurer, Study]]:
    """The study as it is, then with longer texts where it asks for them and the sources hold some.

    known: by length, on what was measured before; what is new is added.
    """
    found, benches = [(measurer, study)], {} if known is None else known
    for total in study.more_totals:
        if total > measurer.settings.total:
            longer = replace(measurer.settings, total=total)
            if total not in benches:
                benches[total] = []
                with suppress(UserError):  # no text is as long
                    benches[total].append(bench_of(longer, trials))
            for bench in benches[total]:
                found.append((replace(measurer, settings=longer, bench=bench), replace(study, extras=())))
    return found


def model_of(study: Study, measurer: Measurer, one: Trained[Trial]) -> tuple[Trained[Trial], Model | None]:
    """A trial's training, up to the epoch that it is about, and its model measured; None where training diverged."""
    trial = one.trial
    one, asked = asked_of(study, measurer, one)
    if asked is None:
        return one, None
    with within(f"{study.name}, {trial.name}"):
        model = measurer.model(asked)
    return one, replace(model, seed=trial.recipe.seed)


def asked_of(study: Study, measurer: Measurer, one: Trained[Trial]) -> tuple[Trained[Trial], Asked | None]:
    """A trial's training, up to the epoch that it is about, and what its study asks; None where training diverged."""
    trial = one.trial
    if trial.epoch and not one.diverged:
        one = trained_by(trial, one.run.kept.get(trial.epoch(one.run), one.run), found=True)
    if one.diverged:
        return one, None
    decodings, training = study.decodings(measurer.settings), measurer.bench.trained_on(one.run)
    return one, Asked(str(one.run.path), decodings, training, trial.strength, study.extras)


def asked_of_base(study: Study, measurer: Measurer, trained: Sequence[Trained[Trial]]) -> Asked:
    """What a study asks of the base model, beside what one of the trainings has read."""
    first = next((one for one in trained if not one.diverged), None)
    reading: list[list[int]] = measurer.bench.trained_on(first.run) if first else []
    of_base = (study.base_decodings or study.decodings)(measurer.settings)
    unblocked = [name for name in of_base if not name.endswith(BLOCKED)]
    return Asked(measurer.settings.model, unblocked, reading, extras=study.extras)


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
    asked = asked_of_base(study, measurer, [one for of_label in trainings.values() for one in of_label])
    with within(f"{study.name}, {BASE}"):
        base = measurer.model(asked)
    human = measurer.human(study.decodings(settings), asked.training)
    return Results(settings, base, human, trainings, models, bench.texts.sources, bench.contexts)
