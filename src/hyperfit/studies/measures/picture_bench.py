"""One model on the pictures of a study: how it completes them, and how it predicts how they really go on."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from hyperfit.data.contexts import Cut
from hyperfit.data.corpus import choice
from hyperfit.evaluation.contexts import Texts
from hyperfit.image.completion.complete import completed
from hyperfit.image.completion.contexts import others
from hyperfit.image.completion.written import as_text
from hyperfit.image.measures.likeness import told_apart_in_pairs
from hyperfit.image.measures.score import OF_THE_ORIGINAL, Pictures, Training, by_picture, pictures_of, statistics
from hyperfit.image.palette import Palette
from hyperfit.image.sequences import split_pictures, trained_on_pictures
from hyperfit.image.settings import CompletionSettings
from hyperfit.metrics.predictions.predict import Reader
from hyperfit.models.devices import pick_device, pick_precision
from hyperfit.runs.directory import RunDir
from hyperfit.studies.measures.bench import Bench
from hyperfit.studies.settings import StudySettings

TOLD_APART = "told_apart"


@dataclass(frozen=True)
class PictureBench(Bench):
    """On what all models of a study are measured alike: pictures, whose tokens are the ``texts``."""

    palette: Palette = field(kw_only=True)
    names: Sequence[str] = field(kw_only=True)
    """Of the pictures: where each lay."""

    @cached_property
    def contexts(self) -> list[str]:
        """Which pictures are completed."""
        return list(self.names)

    @cached_property
    def people(self) -> list[str]:
        """The pictures themselves, as text."""
        return self.strings(self.rows)

    @cached_property
    def rows(self) -> Tensor:
        """int64[pictures, length]"""
        return torch.tensor(self.texts.rows, dtype=torch.int64)

    @cached_property
    def originals(self) -> Pictures:
        """The pictures themselves."""
        return pictures_of(self.rows, self.palette)

    def sequences_of(self, run: RunDir) -> list[list[int]]:
        """The run's training sequences. Raises UserError if its pictures have changed."""
        return trained_on_pictures(run, self.palette)

    def continuations(self, reader: Reader, decoding: str, processors: Sequence[LogitsProcessor]) -> list[list[int]]:
        """What the model adds to each context, of the palette's colours alone."""
        contexts = self.texts.contexts
        rows = completed(
            reader.model, self.palette, contexts, decoding, batch_size=self.batch_size, processors=processors
        )
        added: list[list[int]] = rows[:, len(contexts[0]) :].tolist()
        return added

    def human(self, training: list[list[int]]) -> dict[str, Any]:
        """How the pictures really go on; that they are no distance from themselves says nothing."""
        found = self.scored(self.texts.human, training)
        found["values"] |= {name: [float("nan")] * len(self.names) for name in (*OF_THE_ORIGINAL, TOLD_APART)}
        return found

    def scored(self, ids: list[list[int]], training: list[list[int]]) -> dict[str, Any]:
        """``texts``, whole pictures, and ``values`` of completions."""
        rows = torch.tensor([[*context, *row] for context, row in zip(self.texts.contexts, ids, strict=True)])
        known = torch.tensor(training, dtype=torch.int64).reshape(-1, self.palette.length)
        made, given = pictures_of(rows, self.palette), self.texts.cuts[0] - 1
        values = by_picture(made, self.originals, Training(pictures_of(known, self.palette)), given)
        look = statistics(given)
        values[TOLD_APART] = told_apart_in_pairs(look(made.pixels), look(self.originals.pixels))
        return {"texts": self.strings(rows), "values": values}

    def strings(self, rows: torch.Tensor) -> list[str]:
        """int64[pictures, length] as text, each whole."""
        return [as_text(one, 0)[1] for one in self.palette.pixels(rows)]


def picture_bench_of(settings: StudySettings, palette: Palette) -> PictureBench:
    """Pictures that no training reads: those held out of the data, or others that are no near-copies of it."""
    split = split_pictures(settings.recipe, palette)
    found = split.heldout
    if settings.contexts != (settings.data,):
        elsewhere = CompletionSettings(
            model=settings.model,
            pictures=settings.contexts[0],
            image_column=settings.image_column,
            skip_unusable=settings.skip_unusable,
        )
        found = others(elsewhere, palette, split.train.pixels, flag="--contexts")
    some = found[choice(len(found), min(settings.most_contexts, len(found)), 0).numpy()]
    ids, device = palette.tokens(some.pixels), pick_device(settings.device)
    return PictureBench(
        Texts(
            [Cut(tuple(row), settings.context) for row in ids.tolist()],
            [settings.contexts[0]] * len(some),
            settings.total - settings.context,
        ),
        palette.tokenizer,
        device,
        pick_precision(settings.precision, device, evaluating=True),
        palette=palette,
        names=some.origins,
    )
