"""Models of a study as they are measured: once each, and found in the store from then on."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from hyperfit.evaluation.contexts import common_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.loading import load_tokenizer
from hyperfit.models.weights import weights_fingerprint
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import sha256
from hyperfit.runs.result import is_run, load_any
from hyperfit.studies.grid.measure import Bench
from hyperfit.studies.grid.results import Model
from hyperfit.studies.grid.store import Store, digest
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial
from hyperfit.studies.tasks.harness import Harness, NamedTask
from hyperfit.studies.tasks.scores import Scores


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


def measured(
    name: str,
    decodings: Sequence[str],
    training: list[list[int]],
    store: Store,
    bench: Bench,
    strength: float = 1.0,
    harness: Harness | None = None,
) -> Model:
    """What a model predicts and writes, and what it scores on tasks, from the store where it is there."""
    alone = {"model": weights_of(name), "device": bench.device.type, "precision": bench.precision, "format": 1}
    alone |= {"strength": strength} if strength != 1 else {}
    about = {**alone, "texts": digest({"ids": bench.texts.ids.tolist(), "cuts": bench.texts.cuts})}
    reader: list[Reader] = []

    def load() -> Reader:
        if not reader:
            reader.append(Reader(load_any(name, device=bench.device, precision=bench.precision, strength=strength)))
        return reader[0]

    def known(what: dict[str, Any], find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        found = store.read(what)
        if found is None:
            found = find()
            store.write(what, found)
        return found

    def scored(on: Harness, task: NamedTask) -> dict[str, Any]:
        found = on.measure(task, load().model, bench.tokenizer, bench.device, bench.precision)
        return {part: scores.to_dict() for part, scores in found.items()}

    predictions = known({**about, "what": "predictions"}, lambda: bench.predictions(load()))
    written = {
        decoding: known(
            {**about, "what": "texts", "decoding": decoding, "training": digest({"rows": training})},
            lambda decoding=decoding: bench.written(load(), decoding, training),  # type: ignore[misc]
        )
        for decoding in decodings
    }
    tasks = {
        task.name: known({**alone, "what": "task", **task.known_by(on.limit)}, partial(scored, on, task))
        for on in ([harness] if harness else [])
        for task in on.tasks
    }
    return Model(
        predictions,
        written,
        {task: {part: Scores.from_dict(one) for part, one in parts.items()} for task, parts in tasks.items()},
    )


def weights_of(name: str) -> str:
    """What tells a model's weights from others: of a run, of what it has learnt and of its base."""
    if not is_run(name):
        return weights_fingerprint(name)
    run = RunDir(Path(name))
    return digest({
        "base": run.environment["weights_fingerprint"],
        "learnt": [sha256(file) for file in sorted(run.result.glob("*.safetensors"))],
    })  # fmt: skip
