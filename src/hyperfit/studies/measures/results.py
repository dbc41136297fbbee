"""What the trainings of a study gave, seed by seed and text by text, as its question asks for it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hyperfit.evaluation.tasks.scores import Scores
from hyperfit.image.measures.score import SHARES as PICTURE_SHARES
from hyperfit.metrics.estimate import Estimate, paired_share_difference
from hyperfit.metrics.score import ALL_SHARES
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.measures.bench import agreement
from hyperfit.studies.measures.pooled import Floats, corrected, difference, pooled, pooled_share
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Passage, Row, Trial

BASE, HUMAN = "base", "human"
TOGETHER = ("mauve", "text_seconds")
"""Numbers of all texts of a condition at once, which have no value for one text."""
SHARES = {*ALL_SHARES, *PICTURE_SHARES}
"""Measures that are 0 or 1 for each text, or picture."""
OF_MACHINE = ("seconds", "peak_memory")
"""Numbers of a training that hang on the machine."""
UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)


@dataclass(frozen=True)
class Model:
    """One model that was measured."""

    predictions: dict[str, Any] = field(default_factory=dict)
    """By measure, text by text; ``choices``: its likeliest tokens [texts, positions]."""
    written: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Decoding → ``texts`` and ``values``; ``together`` and ``machine`` where they are known."""
    extra: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What the study alone measures, by name."""
    tasks: dict[str, dict[str, Scores]] = field(default_factory=dict)
    """Task, as it is named → what was scored on it, or on each of its parts."""
    seed: int | None = None
    """Of its training; None of the base model and of people."""

    def values(self, measure: str, decoding: str) -> Sequence[float]:
        """One value a text. Raises KeyError if it was not measured."""
        if measure == "perplexity":
            return list(self.predictions["loss"])
        return list(
            self.predictions[measure] if measure in self.predictions else self.written[decoding]["values"][measure]
        )


@dataclass(frozen=True)
class Results:
    """Everything a study has to go by; trainings that are not done, or diverged, are missing."""

    settings: StudySettings
    base: Model
    human: Model
    trained: dict[str, list[Trained[Trial]]]
    """Label → its trainings, by seed."""
    models: dict[str, list[Model]]
    """Label → what was measured of them; those that diverged are left out."""
    sources: list[str] = field(default_factory=list)
    """Where each context comes from."""
    contexts: list[str] = field(default_factory=list)
    """What was continued."""
    longer: dict[int, "Results"] = field(default_factory=dict)
    """The same with texts of so many tokens in all, where the study asks for them."""

    @property
    def labels(self) -> list[str]:
        """Of the trainings that gave a model, as the study names them."""
        return [label for label, models in self.models.items() if models]

    def values(self, label: str, measure: str, decoding: str = "greedy") -> Floats:
        """float64[seeds, contexts]; ``label`` may be base or human, which have one seed."""
        return self.values_of(self._of(label), measure, decoding)

    def values_of(self, models: Sequence[Model], measure: str, decoding: str) -> Floats:
        """float64[models, contexts]"""
        if measure == "top1_agreement_with_base":
            rows = [agreement(one.predictions["choices"], self.base.predictions["choices"]) for one in models]
        else:
            rows = [list(one.values(measure, decoding)) for one in models]
        return np.array(rows, dtype=np.float64)

    def paired(self, first: str, second: str) -> tuple[list[Model], list[Model]]:
        """The models of two labels with the seeds that both have; base and human stand against every seed."""
        one, other = self._of(first), self._of(second)
        seeds = [{model.seed for model in models} for models in (one, other)]
        if None in seeds[0] | seeds[1]:
            return one, other
        common = seeds[0] & seeds[1]
        return [model for model in one if model.seed in common], [model for model in other if model.seed in common]

    def scores(self, label: str, task: str, part: str | None = None) -> Floats:
        """float64[seeds, examples] of a task, of all its parts or of one."""
        return np.array(
            [
                [value for name, one in model.tasks[task].items() if part in (None, name) for value in one.values]
                for model in self._of(label)
            ],
            dtype=np.float64,
        )

    def _of(self, label: str) -> list[Model]:
        return {BASE: [self.base], HUMAN: [self.human]}.get(label) or self.models[label]

    def estimate(self, label: str, measure: str, decoding: str = "greedy", source: str | None = None) -> Estimate:
        """Its mean over seeds and contexts, those of one source if one is named; NaN where it was not measured.

        What is known of all texts together only is NaN of one source.
        """
        if measure in TOGETHER:
            return self.together(label, measure, decoding) if source is None else UNKNOWN
        try:
            values = self.values(label, measure, decoding)
        except KeyError:
            return UNKNOWN
        if source is not None:
            values = values[:, [one == source for one in self.sources]]
        if measure in SHARES:
            return pooled_share(values)
        return pooled(values, math.exp if measure == "perplexity" else float)

    def together(self, label: str, measure: str, decoding: str) -> Estimate:
        """Its mean over seeds, of a number of all texts at once; NaN where it was not measured."""
        known = [one.written.get(decoding, {}).get("together", {}).get(measure) for one in self._of(label)]
        found = [one for one in map(Estimate.from_dict, filter(None, known)) if not math.isnan(one.value)]
        value = float(np.mean([one.value for one in found])) if found else math.nan
        return Estimate(value, math.nan, math.nan, min((one.n for one in found), default=0))

    @property
    def machines(self) -> list[str]:
        """Where texts were written."""
        models = [self.base, *(one for models in self.models.values() for one in models)]
        return sorted({one["machine"] for model in models for one in model.written.values() if "machine" in one})

    def difference(
        self,
        first: str,
        second: str,
        measure: str,
        *,
        decoding: str = "greedy",
        comparisons: int = 1,
        source: str | None = None,
    ) -> Estimate:
        """First minus second over the same contexts (of perplexity, of losses), as ``gap``."""
        return self.gap((first, decoding), (second, decoding), measure, comparisons=comparisons, source=source)

    def gap(
        self,
        first: tuple[str, str],
        second: tuple[str, str],
        measure: str,
        *,
        comparisons: int = 1,
        source: str | None = None,
    ) -> Estimate:
        """``difference`` of two (label, decoding), over the seeds that both have.

        NaN if they have none in common. Of shares that are alike in all seeds with Agresti and Min's interval, which
        does not claim that nothing changes where no text of a few did.
        """
        models = self.paired(first[0], second[0])
        if not models[0] or not models[1]:
            return UNKNOWN
        one, other = (
            self.values_of(side, measure, way) for side, (_, way) in zip(models, (first, second), strict=True)
        )
        if source is not None:
            kept = [where == source for where in self.sources]
            one, other = one[:, kept], other[:, kept]
        if measure in SHARES and all((side == side[0]).all() for side in (one, other)):
            return paired_share_difference(one[0].tolist(), other[0].tolist(), corrected(comparisons))
        return difference(one, other, comparisons)

    def blend(self, weights: Mapping[str, float], measure: str, comparisons: int = 1) -> Estimate:
        """Sum of greedy texts' values by label, each times its weight, context by context and seed by seed.

        Of perplexity, of losses. Labels other than base and human must come from the same trainings. The interval holds
        for ``comparisons`` such sums at once (Bonferroni).
        """
        total = sum(weight * self.values(label, measure) for label, weight in weights.items())
        return pooled(np.atleast_2d(total), level=corrected(comparisons))

    def row(
        self,
        label: str,
        measures: Sequence[str],
        decoding: str = "greedy",
        *,
        name: str | None = None,
        source: str | None = None,
    ) -> Row:
        """A row of a table: texts' and predictions' measures, and those of the trainings."""
        cells = {
            measure: self.training(label, measure) or self.estimate(label, measure, decoding, source)
            for measure in measures
        }
        return Row(name or label, cells)

    def training(self, label: str, measure: str) -> Estimate | None:
        """Of each training a number, over seeds: epochs, train_loss, seconds, parameters, peak_memory (bytes); None for
        others.

        The mean, and of what the machine tells, seconds and memory, the median, as other work on it slows one of them
        now and then. Trainings that diverged do not count.
        """
        if measure not in ("epochs", "train_loss", "parameters", *OF_MACHINE):
            return None
        known = [float(getattr(one, measure)) for one in self.trained.get(label, []) if not one.diverged]
        value = float((np.median if measure in OF_MACHINE else np.mean)(known)) if known else math.nan
        return Estimate(value, math.nan, math.nan, len(known)) if known else UNKNOWN

    def estimate_of(self, label: str, measure: str) -> float:
        """A number of its trainings, as ``training`` has it."""
        known = self.training(label, measure)
        return math.nan if known is None else known.value

    def passages(self, shown: Mapping[str, tuple[str, str]]) -> list[Passage]:
        """Every context and how each condition, (label, decoding) by name, goes on, as its first seed has it."""
        texts = {
            name: self._of(label)[0].written.get(decoding, {}).get("texts") for name, (label, decoding) in shown.items()
        }
        written = {name: one for name, one in texts.items() if one is not None}
        return [
            Passage(context, {name: one[place] for name, one in written.items()})
            for place, context in enumerate(self.contexts)
            if written
        ]

    def epochs(self, label: str) -> list[list[dict[str, Any]]]:
        """Epoch events of each of its trainings."""
        return [one.run.events("epoch") for one in self.trained.get(label, [])]
