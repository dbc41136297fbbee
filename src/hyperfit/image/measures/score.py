"""Completions of several conditions → every measure of each, with its interval; the pictures themselves among them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from hyperfit.image.completion.nearest import nearest
from hyperfit.image.measures.featurise import Featurise
from hyperfit.image.measures.kernel import kernel_distance
from hyperfit.image.measures.likeness import colour_distance, features, spectrum_distance, told_apart
from hyperfit.image.measures.repetition import (
    Tokens,
    colour_ttr,
    column_repetition,
    row_likeness,
    row_loop,
    row_repetition,
)
from hyperfit.image.palette import Palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.metrics.copying.memorisation import longest_overlaps
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import Estimate, estimate, share_estimate

COPIED = 10.0
"""Root mean square distance to a training picture, of 255, below which a completion counts as a copy of it."""
SHARES = {"row_loop_share", "copied_share"}
"""Measures that are 0 or 1 for each picture."""
ORIGINAL = "original"
OF_THE_ORIGINAL = ("colour_distance", "spectrum_distance")
"""Measures of how far a picture is from its original."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one condition, as tokens and as pixels."""

    tokens: Tokens
    """int64[pictures, height, width]"""
    pixels: Pixels
    """uint8[pictures, height, width, 3]"""


@dataclass(frozen=True)
class Scores:
    """What pictures of several conditions measure."""

    conditions: dict[str, dict[str, Estimate]]
    """Condition → measure → estimate over the pictures."""
    by_picture: dict[str, dict[str, list[float]]]
    """Condition → measure → a value a picture, of those measures that one picture has."""


class Training:
    """Pictures that a model was trained on, and an index of their pixels, read row by row."""

    def __init__(self, pictures: Pictures) -> None:
        self.pictures = pictures
        self.index = TrainingIndex([one.reshape(-1).tolist() for one in pictures.tokens])

    def longest_runs(self, texts: Sequence[Sequence[int]]) -> list[float]:
        """Pixels of the longest run of each that stands in a training picture, too; NaN where none is known."""
        if not len(self.pictures.tokens):
            return [np.nan] * len(texts)
        return [float(run) for run in longest_overlaps(texts, self.index)]


def score(
    conditions: Mapping[str, Pictures],
    originals: Pictures,
    training: Pictures,
    given: int,
    featurise: Featurise | None = None,
) -> Scores:
    """Every measure of each condition, and of the originals under ``original``.

    given: pixels that stood at the beginning of each, and are not measured. training: none where it is not known; then
    what is copied is NaN. featurise: what pictures look like to a model, which then tells them apart and gives
    ``kernel_distance``; None: their statistics tell them apart (``features``).
    """
    found, every = dict[str, dict[str, Estimate]](), dict[str, dict[str, list[float]]]()
    known, look = Training(training), featurise or statistics(given)
    real = look(originals.pixels)
    for name, made in {**conditions, ORIGINAL: originals}.items():
        values = by_picture(made, originals, known, given)
        if name == ORIGINAL:  # the distance from itself says nothing
            values |= {key: [np.nan] * len(made.pixels) for key in OF_THE_ORIGINAL}
        every[name] = values
        found[name] = {key: (share_estimate if key in SHARES else estimate)(one) for key, one in values.items()}
        if name != ORIGINAL:
            looks = look(made.pixels)
            found[name]["told_apart"] = share_estimate(told_apart(looks, real))
            if featurise:
                found[name]["kernel_distance"] = kernel_distance(looks, real)
    return Scores(found, every)


def pictures_of(rows: Tensor, palette: Palette) -> Pictures:
    """int64[pictures, length] tokens, the start token first, as tokens and pixels of the pictures."""
    frame = palette.frame
    return Pictures(rows[:, 1:].reshape(-1, frame.height, frame.width).numpy(), palette.pixels(rows))


def statistics(given: int) -> Featurise:
    """What pictures look like by their own statistics."""
    return lambda pixels: np.array([features(one, given) for one in pixels])


def by_picture(made: Pictures, originals: Pictures, training: Training, given: int) -> dict[str, list[float]]:
    """Measure → a value a picture, NaN where undefined."""
    loops = [row_loop(one, given) for one in made.tokens]
    pairs = list(zip(made.pixels, originals.pixels, strict=True))
    far = nearest(made.pixels, training.pictures.pixels, given)[1]
    return {
        "colour_ttr": [colour_ttr(one, given) for one in made.tokens],
        "row_repetition": [row_repetition(one, given) for one in made.tokens],
        "column_repetition": [column_repetition(one, given) for one in made.tokens],
        "row_likeness": [row_likeness(one, given) for one in made.tokens],
        "row_loop_share": [loop for loop, _ in loops],
        "row_loop_onset": [onset for _, onset in loops],
        "colour_distance": [colour_distance(one, real, given) for one, real in pairs],
        "spectrum_distance": [spectrum_distance(one, real, given) for one, real in pairs],
        "nearest_training": far.tolist(),
        "longest_overlap": training.longest_runs([one.reshape(-1)[given:].tolist() for one in made.tokens]),
        "copied_share": np.where(np.isnan(far), np.nan, far < COPIED).tolist(),
    }
