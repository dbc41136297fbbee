"""One model on the contexts of a study: what it writes, and how it predicts how people went on; text by text."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from hyperfit.data.characters import excerpt
from hyperfit.evaluation.contexts import Texts
from hyperfit.generation.citations.blocking import CitationBlocker
from hyperfit.generation.citations.of_run import trained_on
from hyperfit.generation.continuations import continue_contexts
from hyperfit.generation.settings import CITATION_TOKENS
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.predictions.predict import Reader, predict, text_means
from hyperfit.metrics.score import score
from hyperfit.metrics.text.words import Lexicon, lexicon_of
from hyperfit.models.devices import autocast, device_name
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir

ByText = dict[str, list[float]]
"""Measure → a value a text, NaN where undefined."""
BLOCKED = "+blocked"
"""Behind a decoding: with citations of the training data blocked."""
MASSES = {1: "top1_mass", 3: "top3_mass", 5: "top5_mass"}


@dataclass(frozen=True)
class Bench:
    """On what all models of a study are measured alike."""

    texts: Texts
    tokenizer: PreTrainedTokenizerBase
    device: torch.device
    precision: Precision
    """bf16 or fp32"""
    batch_size: int | None = None
    read: dict[Path, list[list[int]]] = field(default_factory=dict, repr=False, compare=False)
    """By run, the sequences that it was trained on, once they were asked for."""

    @cached_property
    def contexts(self) -> list[str]:
        """What is continued."""
        return self.texts.context_strings(self.tokenizer)

    @cached_property
    def people(self) -> list[str]:
        """How people went on."""
        return self.texts.strings(self.tokenizer, self.texts.human)

    def lexicon(self, training: list[list[int]]) -> Lexicon | None:
        """What counts as a word where these sequences were learnt, as in an evaluation of the run that learnt them.

        What people wrote after the contexts is no part of it: their names would count, and all of their words. None
        where the language is not known.
        """
        return lexicon_of(map(partial(excerpt, self.tokenizer), training), self.contexts)

    def predictions(self, reader: Reader) -> dict[str, Any]:
        """``loss``, ``entropy`` (nats), ``top1_mass`` ... of human continuations text by text, and its ``choices``."""
        with autocast(self.device, self.precision):
            seen = predict(reader, self.texts.rows, skip=self.texts.cuts)
        return {
            "loss": text_means(seen.loss).tolist(),
            "entropy": text_means(seen.entropy).tolist(),
            **{MASSES[k]: text_means(mass).tolist() for k, mass in seen.mass.items()},
            "choices": seen.choices.tolist(),
        }

    def written(self, reader: Reader, decoding: str, training: list[list[int]]) -> dict[str, Any]:
        """``texts`` of the model, and their ``values`` by measure, text by text. training: what it may have copied.

        ``together``: what is known of all texts at once, here the seconds that one took, on the ``machine``.
        """
        blocker = CitationBlocker(training, CITATION_TOKENS) if decoding.endswith(BLOCKED) else None
        started = time.perf_counter()
        with autocast(self.device, self.precision), reader.within():
            ids = self.continuations(reader, decoding.removesuffix(BLOCKED), [blocker] if blocker else [])
        took = (time.perf_counter() - started) / len(ids)
        return {
            **self.scored(ids, training),
            "together": {"text_seconds": Estimate(took, math.nan, math.nan, len(ids)).to_dict()},
            "machine": f"{device_name(self.device)}, threads: {torch.get_num_threads()}",
        }

    def continuations(self, reader: Reader, decoding: str, processors: Sequence[LogitsProcessor]) -> list[list[int]]:
        """What the model writes after each context."""
        return continue_contexts(
            reader.model,
            self.tokenizer,
            self.texts.contexts,
            new_tokens=self.texts.new_tokens,
            decoding=decoding,
            batch_size=self.batch_size,
            processors=processors,
        )

    def trained_on(self, run: RunDir) -> list[list[int]]:
        """What the run has learned, read once. Raises UserError if its texts have changed."""
        if run.path not in self.read:
            self.read[run.path] = self.sequences_of(run)
        return self.read[run.path]

    def sequences_of(self, run: RunDir) -> list[list[int]]:
        """The run's training sequences. Raises UserError if its texts have changed."""
        return trained_on(run, self.tokenizer)

    def human(self, training: list[list[int]]) -> dict[str, Any]:
        """The same of how people went on."""
        return self.scored(self.texts.human, training)

    def scored(self, ids: list[list[int]], training: list[list[int]]) -> dict[str, Any]:
        """``texts`` and ``values`` of continuations."""
        strings = self.texts.strings(self.tokenizer, ids)
        found = score(
            {"": ids}, training, {"": strings}, TrainingIndex(training), {"": self.contexts}, self.lexicon(training)
        )[""]
        return {"texts": strings, "values": {name: list(map(float, of)) for name, of in found.per_text.items()}}


def named(way: str) -> str:
    """A decoding as tables call it."""
    return way.replace(BLOCKED, ", citations blocked")


def agreement(choices: Any, others: Any) -> list[float]:
    """Share of positions of each text at which two models' likeliest tokens are the same; -1 is no position."""
    first, second = np.asarray(choices), np.asarray(others)
    counted = (first >= 0) & (second >= 0)
    return [float(value) for value in ((first == second) & counted).sum(1) / counted.sum(1)]
