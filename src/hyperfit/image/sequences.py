"""Pictures → token sequences for training and validation: whole pictures, no picture or near-copy on both sides."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hyperfit.data.corpus import Corpus, choice
from hyperfit.data.reading.documents import name_in
from hyperfit.data.split import held_out_places, with_near_copies
from hyperfit.errors import UserError
from hyperfit.generation.citations.of_run import unchanged
from hyperfit.image.copies import near_copies
from hyperfit.image.palette import Palette
from hyperfit.image.reading.found import Pictures
from hyperfit.image.reading.sources import read_pictures
from hyperfit.recipes.recipe import MOST_SAMPLES, Recipe
from hyperfit.runs.directory import RunDir

MORE = "pictures"


@dataclass(frozen=True)
class PictureSplit:
    """The pictures of a recipe's data, each once."""

    train: Pictures
    heldout: Pictures
    duplicates: int
    """Pictures left out because the same came before or is held out."""
    near_copies: int
    """Training pictures left out as near-copies of what the source itself holds out."""
    together: int
    """Pictures that have near-copies, all of which are on their side."""
    notes: tuple[str, ...]


def split_pictures(recipe: Recipe, palette: Palette) -> PictureSplit:
    """The recipe's pictures in the order of the source: its own held-out part where it has one, else a random share.

    As ``hyperfit.data.split`` does it for texts. Raises UserError for what cannot be read, and if there is nothing that
    can be held out.
    """
    source = read_pictures(recipe.data, palette.frame, column=recipe.image_column, skip=recipe.skip_unusable)
    heldout = unique(source.heldout)
    train = unique(source.train, heldout)
    duplicates = len(source.train) + len(source.heldout) - len(train) - len(heldout)
    left_out = together = 0
    if not recipe.heldout:
        heldout = heldout[[]]
    elif len(heldout):
        fresh = without_copies(train, heldout)
        left_out, train = len(train) - len(fresh), fresh
    else:
        groups = near_copies(train.pixels)
        chosen = held_out_places(groups, recipe, MORE)
        heldout = train[sorted(chosen)]
        train = train[[place for place in range(len(train)) if place not in chosen]]
        together = with_near_copies(groups)
    return PictureSplit(train, heldout, duplicates, left_out, together, source.notes)


def unique(pictures: Pictures, others: Pictures | None = None) -> Pictures:
    """The pictures that are not among ``others``, pixel for pixel, and have not come before."""
    seen = {one.tobytes() for one in others.pixels} if others else set[bytes]()
    kept = []
    for place, one in enumerate(pictures.pixels):
        if (key := one.tobytes()) not in seen:
            seen.add(key)
            kept.append(place)
    return pictures[kept]


def without_copies(pictures: Pictures, others: Pictures) -> Pictures:
    """The pictures that are in no group of near-copies with one of ``others``."""
    groups = near_copies(np.concatenate([others.pixels, pictures.pixels]))
    taken = set(groups[: len(others)])
    return pictures[[place for place, group in enumerate(groups[len(others) :]) if group not in taken]]


def samples(train: Pictures, recipe: Recipe) -> int:
    """How many of the training pictures are wanted: as many as the recipe says, or all, at most MOST_SAMPLES."""
    return recipe.samples if recipe.samples is not None else min(len(train), MOST_SAMPLES)


def chosen_for_training(train: Pictures, recipe: Recipe) -> Pictures:
    """As many of the training pictures as are wanted, at random, the same for the same seed."""
    return train[choice(len(train), samples(train, recipe), recipe.seed).numpy()]


def build_picture_corpus(recipe: Recipe, palette: Palette) -> Corpus:
    """Read, split, choose and tokenise. Raises UserError if there are too few pictures."""
    return corpus_of_split(split_pictures(recipe, palette), recipe, palette)


def corpus_of_split(split: PictureSplit, recipe: Recipe, palette: Palette) -> Corpus:
    """Choose and tokenise. Raises UserError if there are too few pictures."""
    wanted = samples(split.train, recipe)
    if len(split.train) < max(wanted, 1):
        why = f" ({split.near_copies} are near-copies of held-out ones)" if split.near_copies else ""
        would_do = f"--samples {len(split.train)} or " if len(split.train) and recipe.samples else ""
        raise UserError(
            f"--data {recipe.data}: gives {len(split.train)} training pictures{why}, but {max(wanted, 1)} are needed; "
            f"give {would_do}more pictures"
        )
    chosen = chosen_for_training(split.train, recipe)
    count = min(recipe.validation_samples, len(split.heldout))
    train = palette.tokens(chosen.pixels)
    validation = palette.tokens(split.heldout[choice(len(split.heldout), count, recipe.seed).numpy()].pixels)
    trained = {tuple(row) for row in train.tolist()}  # different pictures may have the same tokens
    fresh = torch.tensor([tuple(row) not in trained for row in validation.tolist()], dtype=torch.bool)
    return Corpus(
        train=train,
        validation=validation[fresh],
        documents=len(split.train) + len(split.heldout),
        duplicates=split.duplicates,
        near_copies=split.near_copies,
        together=split.together,
        short=0,
        heldout_documents=len(split.heldout),
        available=len(split.train),
        notes=split.notes,
        documents_called=MORE,
        names=tuple(name_in(origin, Path(recipe.data)) for origin in chosen.origins),
    )


def trained_on_pictures(run: RunDir, palette: Palette) -> list[list[int]]:
    """The run's training sequences. Raises UserError if its pictures have changed, and with them what was held out."""
    rows: list[list[int]] = unchanged(run, lambda: build_picture_corpus(run.recipe, palette)).train.tolist()
    return rows
