"""Models of a study as they are measured: once each, and found in the store from then on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from hyperfit.errors import UserError
from hyperfit.evaluation.contexts import common_texts
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.evaluation.tasks.harness import Harness, NamedTask
from hyperfit.evaluation.tasks.scores import Scores
from hyperfit.image.palette import palette_of
from hyperfit.metrics.predictions.predict import Model as AnyModel
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_tokenizer
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import sha256
from hyperfit.runs.result import is_run, load_any
from hyperfit.studies.grid.store import Store, digest
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.measures.extra import Extra, Subject
from hyperfit.studies.measures.picture_bench import picture_bench_of
from hyperfit.studies.measures.results import Model
from hyperfit.studies.measures.scorer import Scorer, judged
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial
from hyperfit.studies.tasks.known import known_by


def bench_of(settings: StudySettings, trials: Sequence[Trial]) -> Bench:
    """Contexts that no training reads, and how models are measured on them."""
    if (palette := palette_of(settings.model)) is not None:
        return picture_bench_of(settings, palette)
    tokenizer = load_tokenizer(settings.model)
    asked = EvaluationSettings(
        contexts=settings.contexts, most_contexts=settings.most_contexts, context=settings.context, total=settings.total
    )
    by_data = {(one.recipe.data, one.recipe.heldout): one.recipe for one in trials}
    texts = common_texts(list(by_data.values()) or [settings.recipe], asked, tokenizer)
    if not texts.all_of(settings.total):
        raise UserError(
            "--contexts: studies measure texts of one length, and these are chats or prompts with their completions; "
            "name texts, such as builtin:fiction"
        )
    device = pick_device(settings.device)
    return Bench(texts, tokenizer, device, pick_precision(settings.precision, device, evaluating=True))


@dataclass(frozen=True)
class Asked:
    """What is to be measured of a model."""

    name: str
    """A run's folder, or a model."""
    decodings: Sequence[str]
    training: list[list[int]]
    """The sequences it was trained on; of the base model, those of one training."""
    strength: float = 1.0
    extras: Sequence[Extra] = ()

    @property
    def run(self) -> RunDir | None:
        """None of a model."""
        return RunDir(Path(self.name)) if is_run(self.name) else None


About = dict[str, Any]
"""All that a measurement depends on."""


@dataclass(frozen=True)
class Keys:
    """Everything that is to be measured of a model, by what each depends on: under that the store keeps it."""

    predictions: About
    written: dict[str, About]
    """By decoding."""
    extras: dict[str, About]
    """By the name of what a study measures besides."""
    tasks: dict[str, About]
    """By task, as it is named."""


@dataclass(frozen=True)
class Measurer:
    """Measures models, each thing once: what is in the store is taken from there."""

    settings: StudySettings
    store: Store
    bench: Bench
    scorer: Scorer | None = None
    """What reads the texts of all models, if anything."""
    harness: Harness | None = None
    """On which tasks models are scored, if on any."""

    def on(self, device: torch.device) -> "Measurer":
        """The same on another device."""
        return replace(self, bench=replace(self.bench, device=device))

    def human(self, decodings: Sequence[str], training: list[list[int]]) -> Model:
        """How people went on, under the name of every decoding."""
        return Model(
            {}, dict.fromkeys(decodings, judged(self.bench.human(training), self.store, self.bench, self.scorer))
        )

    def keys(self, asked: Asked) -> Keys:
        """Under what the store keeps what is asked, known or not."""
        bench, harness = self.bench, self.harness
        alone: About = {"model": weights_of(asked.name), "device": bench.device.type, "precision": bench.precision}
        alone |= {"format": 1, **({"strength": asked.strength} if asked.strength != 1 else {})}
        about = {**alone, "texts": digest({"ids": bench.texts.rows, "cuts": bench.texts.cuts})}
        texts = {**about, "what": "texts", "training": digest({"rows": asked.training}), "words": "of training"}
        return Keys(
            {**about, "what": "predictions"},
            {way: {**texts, "decoding": way} for way in asked.decodings},
            {
                one.name: {**about, "what": one.name, **one.about(self.settings)}
                for one in asked.extras
                if asked.run is not None or one.of_base
            },
            {task.name: {**alone, "what": "task", **known_by(task, harness.limit)} for task in harness.tasks}
            if harness
            else {},
        )

    def model(self, asked: Asked) -> Model:
        """What a model predicts and writes, what the scorer says of it, and what a study measures besides."""
        store, bench, keys, training = self.store, self.bench, self.keys(asked), asked.training
        reader: list[Reader] = []

        def load() -> Reader:
            if not reader:
                one = load_any(asked.name, device=bench.device, precision=bench.precision, strength=asked.strength)
                reader.append(Reader(one))
            return reader[0]

        predictions = store.known(keys.predictions, lambda: bench.predictions(load()))
        written = {
            way: store.known(key, lambda way=way: bench.written(load(), way, training))  # type: ignore[misc]
            for way, key in keys.written.items()
        }
        subject = Subject(self.settings, bench, asked.run, training, load)
        extra = {
            one.name: store.known(keys.extras[one.name], lambda one=one: one.of(subject))  # type: ignore[misc]
            for one in asked.extras
            if one.name in keys.extras
        }
        scores = {
            task.name: store.known(
                keys.tasks[task.name],
                lambda harness=harness, task=task: self.scored(harness, task, load().model),  # type: ignore[misc]
            )
            for harness in filter(None, [self.harness])
            for task in harness.tasks
        }
        return Model(
            predictions,
            {way: judged(one, store, bench, self.scorer) for way, one in written.items()},
            extra,
            {task: {part: Scores.from_dict(one) for part, one in parts.items()} for task, parts in scores.items()},
        )

    def scored(self, harness: Harness, task: NamedTask, model: AnyModel) -> dict[str, Any]:
        """The scores of a task's parts as plain values."""
        found = harness.measure(task, model, self.bench.tokenizer, self.bench.device, self.bench.precision)
        return {part: scores.to_dict() for part, scores in found.items()}


def weights_of(name: str) -> str:
    """What tells a model's weights from others: of a run, of what it has learnt and of its base."""
    if not is_run(name):
        return weights_fingerprint(name)
    run = RunDir(Path(name))
    return digest({
        "base": run.environment["weights_fingerprint"],
        "learnt": [checksum(file, at(file)) for file in sorted(run.result.glob("*.safetensors"))],
    })  # fmt: skip


@cache
def checksum(file: Path, at: tuple[int, ...]) -> str:
    """SHA-256 of a file, computed once for each state ``at`` of it."""
    return sha256(file)


def at(file: Path) -> tuple[int, ...]:
    """What is another after a file was written."""
    known = file.stat()
    return known.st_ino, known.st_size, known.st_mtime_ns, known.st_ctime_ns
