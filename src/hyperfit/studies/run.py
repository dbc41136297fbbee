"""The verb: plan the trainings of some studies, do them, measure, and tell what they found."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperfit.console import say
from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.evaluation.contexts import common_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import load_tokenizer
from hyperfit.models.weights import weights_fingerprint
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import sha256, write_json
from hyperfit.runs.json_values import json_values
from hyperfit.runs.result import is_run, load_any
from hyperfit.studies.catalogue import STUDIES
from hyperfit.studies.grid.measure import BLOCKED, Bench
from hyperfit.studies.grid.plan import Planned, Planner
from hyperfit.studies.grid.results import Model, Results
from hyperfit.studies.grid.store import Store, digest, key_of, merged, plain
from hyperfit.studies.grid.training import Trained, trained_by
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Trial

Say = Callable[[str], None]


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


def wanted_by(studies: Sequence[Study], settings: StudySettings) -> list[tuple[Trial, tuple[str, ...]]]:
    """Every training once, with the studies that want it: all with the first seed, then all with the next."""
    found: dict[str, tuple[Trial, tuple[str, ...]]] = {}
    for seed in range(settings.seeds):
        for study in studies:
            for trial in seeded(study, settings, seed):
                key = key_of(trial.recipe)
                if key in found:
                    first, names = found[key]
                    trial = replace(first, recipe=merged(first.recipe, trial.recipe))
                    found[key] = (trial, tuple(dict.fromkeys((*names, study.name))))
                else:
                    found[key] = (trial, (study.name,))
    return list(found.values())


def seeded(study: Study, settings: StudySettings, seed: int) -> list[Trial]:
    """The study's trainings with one seed."""
    return [replace(one, recipe=replace(one.recipe, seed=seed)) for one in study.trials(settings)]


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
        raise UserError(f"--budget: nothing fits; the shortest training is expected to take {minutes(shortest)}")
    trained = train_all(store, planned, bench, budget, notify)
    found: dict[str, Any] = {}
    for study in studies:
        results = results_of(study, settings, store, bench, trained)
        told = study.tell(results)
        found[study.name] = as_json(study, settings, results, told)
        write_json(folder / f"{study.name}.json", found[study.name])
        notify(f"{study.name}: {told.answer}. {told.sentence}")
    return found


def possible(trial: Trial, notify: Say) -> bool:
    """Whether there is text enough for a training; said if not."""
    try:
        build_corpus(trial.recipe, load_tokenizer(trial.recipe.model))
    except UserError as error:
        notify(f"{trial.name} is left out: {error}")
        return False
    return True


def bench_of(settings: StudySettings, trials: Sequence[Trial]) -> Bench:
    """Contexts that no training reads, and how models are measured on them."""
    tokenizer = load_tokenizer(settings.model)
    asked = EvaluationSettings(
        contexts=settings.contexts, most_contexts=settings.most_contexts, context=settings.context, total=settings.total
    )
    by_data = {(one.recipe.data, one.recipe.heldout): one.recipe for one in trials}
    texts = common_texts(list(by_data.values()) or [settings.recipe], asked, tokenizer)
    device = pick_device(settings.device)
    return Bench(texts, tokenizer, device, pick_precision(settings.precision, device, evaluating=True))


def plan_lines(planned: Sequence[Planned], budget: float | None) -> list[str]:
    """What is to be done, for people."""
    left = [one for one in planned if not one.done]
    lines = [f"{len(planned)} trainings, {len(planned) - len(left)} of them done"]
    if left:
        lines.append(
            f"about {minutes(sum(one.seconds for one in left))}, {sum(one.disk for one in left) / 1e9:.1f} GB of disk, "
            f"{max(one.memory for one in left) / 1e9:.1f} GB of memory (rough estimates)"
        )
    if budget is not None:
        lines.append(f"of which what fits into {minutes(budget)} is done, in this order")
    lines += [f"  {one.trial.name} ({', '.join(one.studies)}): about {minutes(one.seconds)}" for one in left]
    return lines


def minutes(seconds: float) -> str:
    """A time as people say it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def train_all(
    store: Store, planned: Sequence[Planned], bench: Bench, budget: float | None, notify: Say
) -> dict[str, Trained[Trial]]:
    """Key → training, of all that fit into the budget, each measured under greedy decoding as it is done."""
    started, trained, left = time.monotonic(), dict[str, Trained[Trial]](), []
    for number, one in enumerate(planned, start=1):
        spent = time.monotonic() - started
        if budget is not None and not one.done and spent + one.seconds > budget:
            left.append(one)
            continue
        key = key_of(one.trial.recipe)
        try:
            trained[key] = store.train(one.trial)
        except KeyboardInterrupt:
            notify("interrupted; repeat the command to go on")
            raise
        if not one.done:
            rest = sum(other.seconds for other in planned[number:])
            notify(
                f"{number} of {len(planned)}, {one.trial.name}: loss {trained[key].train_loss:.3f} after "
                f"{trained[key].epochs} epochs, {minutes(time.monotonic() - started - spent)}; about {minutes(rest)} "
                "left"
            )
    if left:
        notify(
            f"left out, as the budget is used up: {', '.join(one.trial.name for one in left)} (about "
            f"{minutes(sum(one.seconds for one in left))}); repeat with a larger --budget to go on"
        )
    return trained


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


def measured(
    name: str,
    decodings: Sequence[str],
    training: list[list[int]],
    store: Store,
    bench: Bench,
    strength: float = 1.0,
) -> Model:
    """What a model predicts and writes, from the store where it is there."""
    about = {
        "model": weights_of(name),
        "texts": digest({"ids": bench.texts.ids.tolist(), "cuts": bench.texts.cuts}),
        "device": bench.device.type,
        "precision": bench.precision,
        "format": 1,
    }
    about |= {"strength": strength} if strength != 1 else {}
    reader: list[Reader] = []

    def load() -> Reader:
        if not reader:
            reader.append(Reader(load_any(name, device=bench.device, precision=bench.precision, strength=strength)))
        return reader[0]

    def known(what: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = store.read({**about, **what})
        if found is None:
            found = find()
            store.write({**about, **what}, found)
        return found

    predictions = known({"what": "predictions"}, lambda: bench.predictions(load()))
    written = {
        decoding: known(
            {"what": "texts", "decoding": decoding, "training": digest({"rows": training})},
            lambda decoding=decoding: bench.written(load(), decoding, training),  # type: ignore[misc]
        )
        for decoding in decodings
    }
    return Model(predictions, written)


def weights_of(name: str) -> str:
    """What tells a model's weights from others: of a run, of what it has learnt and of its base."""
    if not is_run(name):
        return weights_fingerprint(name)
    run = RunDir(Path(name))
    return digest({
        "base": run.environment["weights_fingerprint"],
        "learnt": [sha256(file) for file in sorted(run.result.glob("*.safetensors"))],
    })  # fmt: skip


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
