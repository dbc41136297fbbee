"""Of which trainings there is text enough."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

from hyperfit.data.corpus import build_corpus
from hyperfit.errors import UserError
from hyperfit.image.palette import palette_of
from hyperfit.image.sequences import build_picture_corpus
from hyperfit.models.loading import load_tokenizer
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.grid.training import DEFAULTS
from hyperfit.studies.grid.wanted import Say, Wanted

NOT_OF_TEXTS = (
    "method", "late_blocks", "blocks", "target_modules", "rank", "alpha", "lr", "weight_decay", "clip", "unlikelihood",
    "batch_size", "accumulate", "epochs", "stop_loss", "stop", "seed", "order_seed", "order_swaps", "probe_every",
    "greedy_every", "probe_texts", "keep_every", "checkpoint_every",
)  # fmt: skip
"""Settings on which it does not depend whether there is text enough."""


def possible(wanted: Sequence[Wanted], notify: Say) -> list[Wanted]:
    """Those that there is text enough for; each other one is told once, for all its seeds.

    Raises UserError for data of which not even one sequence can be had.
    """
    found, told = list[Wanted](), dict[str, str]()
    for one in wanted:
        recipe = one.trial.recipe
        if lack := lack_of(recipe):
            if none := lack_of(replace(recipe, samples=1)):
                raise UserError(none)
            told[one.trial.label] = lack
        else:
            found.append(one)
    for label, lack in told.items():
        notify(f"{label} is left out: {lack}")
    return found


def lack_of(recipe: Recipe) -> str:
    """What is missing of the texts of a training; nothing where they do."""
    return lacking(replace(recipe, **{name: DEFAULTS[name] for name in NOT_OF_TEXTS}))


@cache
def lacking(recipe: Recipe) -> str:
    """The same, of recipes that differ only in what hangs on texts."""
    try:
        if (palette := palette_of(recipe.model)) is not None:
            build_picture_corpus(recipe, palette)
        else:
            build_corpus(recipe, load_tokenizer(recipe.model))
    except UserError as error:
        return str(error)
    return ""
