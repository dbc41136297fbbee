"""The verb: plan the trainings of some studies, do them, measure, and tell what they found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from hyperfit.console import duration, say
from hyperfit.errors import UserError, collecting, naming
from hyperfit.evaluation.by_model import check_scorer
from hyperfit.evaluation.tasks.also import also_of_tasks
from hyperfit.evaluation.tasks.harness import missing
from hyperfit.evaluation.tasks.named import check_names
from hyperfit.image.palette import palette_of
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.runs.files import write_json
from hyperfit.studies.checks import OF, check_folder, chosen, of_model, runnable
from hyperfit.studies.gather import Measures, harness_of, results_of
from hyperfit.studies.grid.plan import Planned, Planner
from hyperfit.studies.grid.possible import possible
from hyperfit.studies.grid.schedule import plan_lines, train_all
from hyperfit.studies.grid.store import Store, key_of
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.grid.wanted import Say, Wanted, wanted_by
from hyperfit.studies.kinds import for_pictures
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.measures.measurer import Measurer, bench_of
from hyperfit.studies.measures.scorer import Scorer
from hyperfit.studies.record import as_json
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Study, Trial


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
    tasks = settings.tasks if settings.tasks != StudySettings().tasks else ()
    with also_of_tasks(tasks):
        asked = prepared(names, settings, folder, notify)
    if asked.on_tasks:
        check_names(settings.tasks)
    settings, studies, store, wanted = asked.settings, asked.studies, asked.store, asked.wanted
    trials = tuple(one.trial for one in wanted)
    measures = Measures(Measurer(settings, store, asked.bench), trials, asked.on_tasks)
    planner = Planner(store, settings, {one.name: one for one in studies}, measures.left)
    planned = planner.plan(wanted)
    base = measures.left_of_base(studies) * planner.of_a_text
    count = workers or max(1, torch.cuda.device_count())
    for line in plan_lines(planned, budget, count, base):
        notify(line)
    for_trainings = None if budget is None else budget - base
    if (
        for_trainings is not None
        and all(one.seconds > for_trainings for one in planned)
        and not any(one.done for one in planned)
    ):
        shortest = min(one.seconds for one in planned)
        besides = f", and the base model {duration(base)}" if base else ""
        raise UserError(
            f"--budget: nothing fits; the shortest training is expected to take {duration(shortest)}{besides}"
        )
    if dry_run:
        return {}
    harness = harness_of(settings.tasks, settings.task_limit, folder) if asked.on_tasks else None
    write_json(folder / OF, of_model(settings.model))
    trained = train_all(store, planned, for_trainings, notify, count, measures)
    found: dict[str, Any] = {}
    for study in studies:
        its = [one for one in planned if study.name in one.wanted.studies]
        there = trained | measured_for(study.name, its, trained, measures)
        if its and not any(key_of(one.trial.recipe) in there for one in its):
            notify(f"{study.name}: left out, as none of its trainings is done and measured")
            continue
        scorer, scored_on = asked.scorer if study.scored else None, harness if study.tasks else None
        measurer = Measurer(settings, store, asked.bench, scorer, scored_on)
        results = results_of(study, measurer, there, trials)
        told = study.tell(results)
        found[study.name] = as_json(study, settings, results, told)
        write_json(folder / f"{study.name}.json", found[study.name])
        notify(f"{study.name}: {told.answer}. {told.sentence}")
    return found


def measured_for(
    name: str, planned: Sequence[Planned], trained: Mapping[str, Trained[Trial]], measures: Measures
) -> dict[str, Trained[Trial]]:
    """Key → training, of those that a budget has left out as others want more of them, and this study nothing."""
    left_out = {key: one for one in planned if one.done and (key := key_of(one.trial.recipe)) not in trained}
    return {
        key: measures.measurer.store.found(one.trial)
        for key, one in left_out.items()
        if not measures.left(one.wanted, name)
    }


@dataclass(frozen=True)
class Prepared:
    """Studies that can be run, and what they go by."""

    studies: list[Study]
    settings: StudySettings
    store: Store
    on_tasks: bool
    """Whether any is measured on tasks, and can be here."""
    wanted: list[Wanted]
    bench: Bench
    scorer: Scorer | None


def prepared(names: Sequence[str], settings: StudySettings, folder: Path, notify: Say) -> Prepared:
    """What can be run of what is asked for. Raises UserError for what cannot; nothing is written."""
    problems: list[str] = []
    palette = None
    with collecting(problems):
        chosen(names)
    with collecting(problems), naming("--model"):
        load_config(settings.model)
        palette = palette_of(settings.model)
        if palette is None:
            load_tokenizer(settings.model)
    if problems:
        raise UserError(*problems)
    studies = runnable(names, settings, notify)
    if palette is not None:
        settings = for_pictures(settings, palette)
    check_folder(folder, settings.model)
    on_tasks = any(one.tasks for one in studies)
    if on_tasks and (lack := missing()):
        notify(f"--tasks are left out: {lack}")
        on_tasks = False
    wanted = possible(wanted_by(studies, settings), notify)
    if not wanted:
        raise UserError(f"--data {settings.data}: there is too little of it for any training of these studies")
    bench = bench_of(settings, tuple(one.trial for one in wanted))
    return Prepared(studies, settings, Store(folder), on_tasks, wanted, bench, scorer_of(settings, bench))


def scorer_of(settings: StudySettings, bench: Bench) -> Scorer | None:
    """The scorer that the settings name. Raises UserError if it cannot read the texts."""
    if settings.scorer is None:
        return None
    pairs = list(zip(bench.contexts, bench.people, strict=True))
    check_scorer(settings.scorer, pairs, what="human text", remedy="a smaller --total", flag="--scorer")
    return Scorer(settings.scorer, bench.device, bench.precision)
