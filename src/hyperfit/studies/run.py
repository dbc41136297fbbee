"""The verb: plan the trainings of some studies, do them, measure, and tell what they found."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch

from hyperfit.console import duration, say
from hyperfit.errors import UserError, naming
from hyperfit.evaluation.by_model import check_scorer
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.runs.files import check_writable, write_json
from hyperfit.runs.json_values import json_values
from hyperfit.studies.catalogue import STUDIES
from hyperfit.studies.gather import Measures, results_of
from hyperfit.studies.grid.plan import Planner
from hyperfit.studies.grid.schedule import plan_lines, train_all
from hyperfit.studies.grid.store import Store, plain
from hyperfit.studies.grid.wanted import Say, possible, wanted_by
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.measures.measurer import Measurer, bench_of
from hyperfit.studies.measures.results import Results
from hyperfit.studies.measures.scorer import Scorer
from hyperfit.studies.ranges import within_ranges
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study
from hyperfit.studies.tasks.named import check_names, load_harness


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


OF = "model.json"
"""In a folder of studies: of which model they are."""


def of_model(model: str) -> dict[str, Any]:
    """What studies of one folder have alike."""
    return {"model": model, "weights": weights_fingerprint(model), "format": 1}


def check_folder(folder: Path, model: str) -> None:
    """Raises UserError if the folder cannot be written to, or holds studies of another model or version."""
    check_writable(folder)
    try:
        there = json.loads((folder / OF).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except (OSError, ValueError) as error:
        raise UserError(f"--output {folder}: {OF} cannot be read ({error}); remove it, or name a new folder") from error
    if there != of_model(model):
        whose = there.get("model", "?") if isinstance(there, dict) else "?"
        other = "another model" if whose != model else "other weights of it, or of another version of hyperfit"
        raise UserError(f"--output {folder}: holds studies of {whose}, {other}; name a new folder")


def runnable(names: Sequence[str], settings: StudySettings, notify: Say) -> list[Study]:
    """The studies that can be run; of ``all``, one that cannot is passed over, and that is said.

    Raises UserError, with every reason, for those that are named and cannot be run.
    """
    hindered = {one.name: reason for one in chosen(names) if (reason := one.hinders(settings))}
    if problems := [f"study {name}: {reason}" for name, reason in hindered.items() if name in names]:
        raise UserError(*problems)
    for name, reason in hindered.items():
        notify(f"{name} is left out: {reason}")
    return [one for one in chosen(names) if one.name not in hindered]


def run_studies(
    names: Sequence[str],
    settings: StudySettings,
    folder: Path,
    *,
    budget: float | None = None,
    dry_run: bool = False,
    workers: int | None = None,
    notify: Say = say,
) -> dict[str, Any]:
    """Run studies in a folder, and write NAME.json there for each; {name: what NAME.json holds}.

    What is trained and measured there already is used. budget: seconds after which no training is begun that is
    expected to pass them; what is left is told. dry_run: plan only, and return nothing. workers: processes that train
    side by side; None: one for every GPU, or one. Raises UserError with every problem before anything is trained.
    """
    studies = chosen(names)
    if settings.scorer is not None and not any(one.scored for one in studies):
        asking = ", ".join(name for name, one in STUDIES.items() if one.scored)
        raise UserError(f"--scorer {settings.scorer}: has no effect with these studies; it is for {asking}")
    with naming("--model"):
        load_config(settings.model)
        load_tokenizer(settings.model)
    studies = runnable(names, settings, notify)
    check_folder(folder, settings.model)
    store = Store(folder)
    on_tasks = any(one.tasks for one in studies)
    if on_tasks:
        check_names(settings.tasks)
    wanted = [one for one in wanted_by(studies, settings) if possible(one.trial, notify)]
    if not wanted:
        raise UserError(f"--data {settings.data}: there is too little text for any training of these studies")
    planned = Planner(store, settings, {one.name: one for one in studies}).plan(wanted)
    trials = tuple(one.trial for one in wanted)
    bench = bench_of(settings, trials)
    scorer = scorer_of(settings, bench)
    count = workers or max(1, torch.cuda.device_count())
    for line in plan_lines(planned, budget, count):
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
    harness = load_harness(settings.tasks, settings.task_limit, folder / "tasks") if on_tasks else None
    write_json(folder / OF, of_model(settings.model))
    measures = Measures(Measurer(settings, store, bench), trials)
    trained = train_all(store, planned, budget, notify, count, measures)
    found: dict[str, Any] = {}
    for study in studies:
        measurer = Measurer(settings, store, bench, scorer if study.scored else None, harness if study.tasks else None)
        results = results_of(study, measurer, trained)
        told = within_ranges(study.tell(results))
        found[study.name] = as_json(study, settings, results, told)
        write_json(folder / f"{study.name}.json", found[study.name])
        notify(f"{study.name}: {told.answer}. {told.sentence}")
    return found


def scorer_of(settings: StudySettings, bench: Bench) -> Scorer | None:
    """The scorer that the settings name. Raises UserError if it cannot read the texts."""
    if settings.scorer is None:
        return None
    pairs = list(zip(bench.contexts, bench.people, strict=True))
    check_scorer(settings.scorer, pairs, what="human text", remedy="a smaller --total", flag="--scorer")
    return Scorer(settings.scorer, bench.device, bench.precision)


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
