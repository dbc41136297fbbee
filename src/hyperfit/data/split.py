"""Documents → those to train on and those held out, with no text, and no near-copy of one, on both sides."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hyperfit.data.copies import LEAST, near_copies, normal_form, runs_of
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True, kw_only=True)
class Split:
    """The documents of a recipe's data."""

    train: list[Document]
    heldout: list[Document]
    duplicates: int
    """Documents left out because the same text came before or is held out."""
    near_copies: int
    """Training documents left out as near-copies of what the source itself holds out."""
    together: int
    """Documents that have near-copies, all of which are on their side."""
    notes: list[str]
    """What people should know of how the source was read."""


def split_documents(recipe: Recipe) -> Split:
    """The recipe's documents, each text once, in the order of the source.

    The source's own held-out part is used where it has one, less what of the training part is a near-copy of it; else a
    seeded random share, to which near-copies of each other go together or not at all (``hyperfit.data.copies``).
    Neither where the recipe holds nothing out. Raises UserError if there is nothing that can be held out.
    """
    notes: list[str] = []
    train, heldout = read_documents(recipe.data, recipe.text_column, notify=notes.append)
    read = len(train) + len(heldout)
    heldout = unique(heldout)
    train = unique(train, heldout)
    duplicates, left_out, together = read - len(train) - len(heldout), 0, 0
    if not recipe.heldout:
        heldout = []
    elif heldout:
        fresh = without_copies(train, heldout)
        left_out, train = len(train) - len(fresh), fresh
    else:
        train, heldout, together = hold_out(train, recipe)
    return Split(
        train=train,
        heldout=heldout,
        duplicates=duplicates,
        near_copies=left_out,
        together=together,
        notes=notes,
    )


def hold_out(documents: list[Document], recipe: Recipe) -> tuple[list[Document], list[Document], int]:
    """(training documents, a random share that is held out, how many of all have near-copies)."""
    groups = near_copies([compared(document) for document in documents])
    one_text = len(documents) == 1 and recipe.chunking == "start" and not documents[0].prompted
    instead = ", and --chunking packed to train on all of one long text" if one_text else ""
    chosen = held_out_places(groups, recipe, "documents (one a file or row)", instead)
    train = [document for index, document in enumerate(documents) if index not in chosen]
    heldout = [document for index, document in enumerate(documents) if index in chosen]
    return train, heldout, with_near_copies(groups)


def held_out_places(groups: Sequence[int], recipe: Recipe, more: str, instead: str = "") -> set[int]:
    """A random share of the places of documents, or pictures, of which near-copies of each other are in one group.

    They are taken in random order, each with its near-copies, unless these are more than are still wanted. more: what
    to give more of, in the UserError that is raised where all are of one group; instead: what to give otherwise, behind
    ``--heldout 0``.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for index, group in enumerate(groups):
        members[group].append(index)
    if len(members) < 2:
        what = "near-copies of one another" if len(groups) > 1 else f"{more.split()[0].removesuffix('s')}(s)"
        raise UserError(
            f"--data {recipe.data}: {len(groups)} {what} cannot be split into training and held-out parts; "
            f"give more {more}, or --heldout 0 to go without validation{instead}"
        )
    wanted = min(max(1, round(recipe.heldout * len(groups))), len(groups) - 1)
    seed = recipe.seed if recipe.heldout_seed is None else recipe.heldout_seed
    order = np.random.default_rng([seed, 1]).permutation(len(groups)).tolist()
    chosen: set[int] = set()
    for index in order:
        if index not in chosen and len(chosen) + len(members[groups[index]]) <= wanted:
            chosen.update(members[groups[index]])
    if not chosen:
        smallest = min(order, key=lambda index: len(members[groups[index]]))
        chosen.update(members[groups[smallest]])
    return chosen


def with_near_copies(groups: Sequence[int]) -> int:
    """How many are in a group of several."""
    return sum(count for count in Counter(groups).values() if count > 1)


def compared(document: Document) -> str:
    """What of a document makes it a near-copy: a text, or all that is learned of a chat or of a prompt's completion.

    Not what is asked, as many begin with the same instructions; nothing of a few words, which can be the same by
    chance. What is the same from beginning to end is found before.
    """
    return "" if document.prompted and len(runs_of(document.learned)) < LEAST else document.learned


def unique(documents: Sequence[Document], others: Sequence[Document] = ()) -> list[Document]:
    """The documents whose text is not among ``others`` and has not come before."""
    seen = {normal_form(document.text) for document in others}
    kept = []
    for document in documents:
        if (text := normal_form(document.text)) not in seen:
            seen.add(text)
            kept.append(document)
    return kept


def without_copies(documents: Sequence[Document], others: Sequence[Document]) -> list[Document]:
    """The documents that are in no group of near-copies with one of ``others``."""
    groups = near_copies([compared(document) for document in (*others, *documents)])
    taken = set(groups[: len(others)])
    return [document for document, group in zip(documents, groups[len(others) :], strict=True) if group not in taken]
