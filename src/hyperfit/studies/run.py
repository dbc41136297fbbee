"""The verb: plan the trainings of some studies, do them, measure, and tell what they found."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperfit.console import duration, say
from hyperfit.errors import UserError, naming
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.runs.files import write_json
from hyperfit.runs.json_values import json_values
from hyperfit.studies.catalogue import STUDIES
from hyperfit.studies.grid.measure import BLOCKED, Bench
from hyperfit.studies.grid.measured import bench_of, measured
from hyperfit.studies.grid.plan import Planner
from hyperfit.studies.grid.results import Model, Results
from hyperfit.studies.grid.schedule import Say, plan_lines, possible, seeded, train_all, wanted_by
from hyperfit.studies.grid.store import Store, key_of, plain
from hyperfit.studies.grid.training import Trained, trained_by
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Trial


def chosen(names: Sequence[str]) -> list[Study]:
    """Studies by name; ``all`` is all of them. Raises UserError, with what it may have been, for an unknown one."""
    problems = []
    for name in names:
        if name != "all" and name not in STUDIES:
            near = get_close_matches(name, STUDIES, 1)
            meant = f"did you mean {near[0]}?" if near else f"give one of {', '.join(STUDIES)}, or all"
            problems.append(f"study {name}: there is none; {meant}")
    if problems:
        raise UserError(*problems)
    return [one for one in STUDIES.values() if "all" in names or one.name in names]


def run_studies(
    names: Sequence[str],
    settings: StudySettings,
    folder: Path,
    *,
    budget: float | None = None,
    dry_run: bool = False,
    notify: Say = say,
) -> dict[str, Any]:
    """Run studies in a folder, and write NAME.json there for each; {name: what NAME.json holds}.

    What is trained and measured there already is used. budget: seconds after which no training is begun that is
    expected to pass them; what is left is told. dry_run: plan only, and return nothing. Raises UserError with every
    problem before anything is trained.
    """
    studies = chosen(names)
    with naming("--model"):
        load_config(settings.model)
        load_tokenizer(settings.model)
    store = Store(folder)
    wanted = wanted_by(studies, settings)
    wanted = [one for one in wanted if possible(one[0], notify)]
    if not wanted:
        raise UserError(f"--data {settings.data}: there is too little text for any training of these studies")
    planned = Planner(store, settings).plan(wanted)
    bench = bench_of(settings, [trial for trial, _ in wanted])
    for line in plan_lines(planned, budget):
        notify(line)
    if dry_run:
        return {}
    if (
        budget is not None
        and all(one.seconds > budget for one in planned if not one.done)
        and not any(one.done for one in planned)
    ):
        shortest = min(one.seconds for one in planned)
        raise UserError(f"--budget: nothing fits; the shortest training is expected to take {duration(shortest)}")
    trained = train_all(store, planned, budget, notify)
    found: dict[str, Any] = {}
    for study in studies:
        results = results_of(study, settings, store, bench, trained)
        told = study.tell(results)
        found[study.name] = as_json(study, settings, results, told)
        write_json(folder / f"{study.name}.json", found[study.name])
        notify(f"{study.name}: {told.answer}. {told.sentence}")
    return found


def results_of(
    study: Study, settings: StudySettings, store: Store, bench: Bench, trained: dict[str, Trained[Trial]]
) -> Results:
    """Everything the study has to go by, measured where that is not done yet."""
    decodings = study.decodings(settings)
    trainings: dict[str, list[Trained[Trial]]] = {}
    models: dict[str, list[Model]] = {}
    reading: list[list[int]] | None = None
    for seed in range(settings.seeds):
        for trial in seeded(study, settings, seed):
            key = key_of(trial.recipe)
            trainings.setdefault(trial.label, [])
            models.setdefault(trial.label, [])
            if key not in trained:
                continue
            one = replace(trained[key], trial=trial)
            if trial.epoch and not one.diverged:
                one = trained_by(trial, one.run.kept.get(trial.epoch(one.run), one.run), found=True)
            trainings[trial.label].append(one)
            if not one.diverged:
                training = trained_on(one.run, bench.tokenizer)
                reading = reading or training
                models[trial.label].append(
                    measured(str(one.run.path), decodings, training, store, bench, trial.strength)
                )
    reading = reading or []
    unblocked = [name for name in decodings if not name.endswith(BLOCKED)]
    base = measured(settings.model, unblocked, reading, store, bench)
    human = Model({}, dict.fromkeys(decodings, bench.human(reading)))
    return Results(settings, base, human, trainings, models, bench.texts.sources)


def as_json(study: Study, settings: StudySettings, results: Results, told: Findings) -> dict[str, Any]:
    """What NAME.json holds."""
    known = {
        "study": study.name,
        "question": study.question,
        "source": study.source,
        "method": study.method,
        "settings": asdict(settings),
        "contexts": len(results.base.predictions.get("loss", ())),
        "trainings": [
            {
                "label": label,
                "seed": one.trial.recipe.seed,
                "recipe": one.run.recipe.to_dict(),
                "run": one.run.path.name,
                "epochs": one.epochs,
                "reason": one.reason,
                "train_loss": json_values(one.train_loss),
                "seconds": round(one.seconds, 1),
                "parameters": one.parameters,
                "device": one.run.environment.get("device_name"),
            }
            for label, trainings in results.trained.items()
            for one in trainings
        ],
        **json_values(told),
    }
    return dict(plain(known))
