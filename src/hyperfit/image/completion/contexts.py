"""Which pictures are completed: those that a run holds out, or others that it was not trained on."""

from dataclasses import dataclass

import numpy as np

from hyperfit.data.corpus import Corpus, choice
from hyperfit.errors import UserError
from hyperfit.generation.citations.of_run import unchanged
from hyperfit.image.palette import Palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.image.reading.found import Pictures
from hyperfit.image.reading.sources import read_pictures
from hyperfit.image.sequences import (
    PictureSplit,
    chosen_for_training,
    corpus_of_split,
    split_pictures,
    unique,
    without_copies,
)
from hyperfit.image.settings import CompletionSettings
from hyperfit.runs.directory import RunDir


@dataclass(frozen=True)
class Originals:
    """Pictures to complete, and what the model was trained on."""

    pictures: Pictures
    training: Pixels
    """uint8[pictures, height, width, 3]; none where the model is no run."""


def originals(settings: CompletionSettings, run: RunDir | None, palette: Palette) -> Originals:
    """The pictures that the settings want; run: None for a model that is none.

    Raises UserError where there are none, or only such as were trained on, and for a run whose pictures have changed.
    """
    training = np.zeros((0, palette.frame.height, palette.frame.width, 3), np.uint8)
    heldout = Pictures(training, ())
    if run is not None:
        training, heldout = pictures_of_run(run, palette)
    if settings.pictures is not None:
        heldout = others(settings, palette, training)
    elif run is None:
        raise UserError(f"--pictures: {settings.model} is no run, which would hold some out; name what to complete")
    elif not len(heldout):
        raise UserError(f"--pictures: {settings.model} holds no pictures out (--heldout 0); name what to complete")
    some = choice(len(heldout), min(settings.count, len(heldout)), settings.seed)
    return Originals(heldout[some.numpy()], training)


def pictures_of_run(run: RunDir, palette: Palette) -> tuple[Pixels, Pictures]:
    """(what a run was trained on, what it holds out). Raises UserError if these have changed since."""
    found: list[PictureSplit] = []

    def build() -> Corpus:
        found.append(split_pictures(run.recipe, palette))
        return corpus_of_split(found[0], run.recipe, palette)

    unchanged(run, build)
    return chosen_for_training(found[0].train, run.recipe).pixels, found[0].heldout


def others(settings: CompletionSettings, palette: Palette, training: Pixels, flag: str = "--pictures") -> Pictures:
    """The pictures that the settings name (the held-out part where there is one) that are no near-copies of training
    ones; flag: that named them.
    """
    assert settings.pictures is not None
    try:
        source = read_pictures(
            settings.pictures, palette.frame, column=settings.image_column, skip=settings.skip_unusable
        )
    except UserError as error:
        raise UserError(*(problem.replace("--data ", f"{flag} ", 1) for problem in error.problems)) from error
    found = unique(source.heldout if len(source.heldout) else source.train)
    if len(training):
        found = without_copies(found, Pictures(training, ("",) * len(training)))
    if not len(found):
        raise UserError(f"{flag} {settings.pictures}: all of them were trained on; name others")
    return found
