"""Which pictures are completed: those that a run holds out, or others that it was not trained on."""

from dataclasses import dataclass

import numpy as np

from hyperfit.data.corpus import choice
from hyperfit.errors import UserError
from hyperfit.image.palette import Palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.image.reading.found import Pictures
from hyperfit.image.reading.sources import read_pictures
from hyperfit.image.sequences import chosen_for_training, split_pictures, unique, without_copies
from hyperfit.image.settings import CompletionSettings
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Originals:
    """Pictures to complete, and what the model was trained on."""

    pictures: Pictures
    training: Pixels
    """uint8[pictures, height, width, 3]; none where the model is no run."""


def originals(settings: CompletionSettings, recipe: Recipe | None, palette: Palette) -> Originals:
    """The pictures that the settings want; recipe: of the run, None for a model that is none.

    Raises UserError where there are none, or only such as were trained on.
    """
    training = np.zeros((0, palette.frame.height, palette.frame.width, 3), np.uint8)
    heldout = Pictures(training, ())
    if recipe is not None:
        split = split_pictures(recipe, palette)
        training, heldout = chosen_for_training(split.train, recipe).pixels, split.heldout
    if settings.pictures is not None:
        heldout = others(settings, recipe, palette, training)
    elif recipe is None:
        raise UserError(f"--pictures: {settings.model} is no run, which would hold some out; name what to complete")
    elif not len(heldout):
        raise UserError(f"--pictures: {settings.model} holds no pictures out (--heldout 0); name what to complete")
    some = choice(len(heldout), min(settings.count, len(heldout)), settings.seed)
    return Originals(heldout[some.numpy()], training)


def others(settings: CompletionSettings, recipe: Recipe | None, palette: Palette, training: Pixels) -> Pictures:
    """The pictures of ``--pictures`` (the held-out part where it has one) that are no near-copies of training ones."""
    assert settings.pictures is not None
    try:
        source = read_pictures(
            settings.pictures, palette.frame, column=settings.image_column, skip=settings.skip_unusable
        )
    except UserError as error:
        raise UserError(*(problem.replace("--data ", "--pictures ", 1) for problem in error.problems)) from error
    found = unique(source.heldout if len(source.heldout) else source.train)
    if len(training):
        found = without_copies(found, Pictures(training, ("",) * len(training)))
    if not len(found):
        raise UserError(f"--pictures {settings.pictures}: all of them were trained on; name others")
    return found
