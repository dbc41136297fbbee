"""Documents → fixed-length token sequences for training, validation and evaluation, split by document."""

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.builtin import text_source
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.data.special_tokens import added_tokens, token_ids
from hyperfit.data.split import split_documents, unique, without_copies
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import MOST_SAMPLES, Recipe


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """What a run trains and validates on."""

    train: Tensor
    """int64[samples, length]"""
    validation: Tensor
    """int64[validation samples, length]; no document of it is in ``train``. Zero rows if nothing is held out."""
    documents: int
    """Different documents in the source."""
    duplicates: int
    """Documents left out because the same text came before or is held out."""
    near_copies: int
    """Training documents left out as near-copies of what the source itself holds out."""
    together: int
    """Documents that have near-copies, all of which are on their side of the split."""
    short: int
    """Documents left out because they have fewer tokens than a sequence (chunking "start")."""
    heldout_documents: int
    available: int
    """Training sequences there were to choose from."""
    notes: tuple[str, ...] = ()
    """What people should know of how the source was read."""
    documents_called: str = "documents"
    """Or ``pictures``."""
    names: tuple[str, ...] = ()
    """The document, or the first and the last, that each training sequence is of: file and row."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all token ids, first 16 hexadecimal digits: equal data, equal choice, equal tokenizer."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation):
            digest.update(repr(tuple(part.shape)).encode() + part.numpy().tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """One line for people."""
        counts = (
            (self.duplicates, "duplicates"),
            (self.near_copies, "near-copies of held-out ones"),
            (self.short, "too short"),
        )
        left_out = [f"{count} {what}" for count, what in counts if count]
        return (
            f"{len(self.train)} of {self.available} training sequences of {self.train.shape[1]} tokens, "
            f"{len(self.validation)} held out for validation; {self.documents} {self.documents_called}"
            + (f" ({', '.join(left_out)} left out)" if left_out else "")
            + f", {self.heldout_documents} of them held out"
            + (f"; {self.together} have near-copies, on the same side" if self.together else "")
            + f"; fingerprint {self.fingerprint}"
        )


def build_corpus(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Corpus:
    """Read, split, tokenise and choose. Raises UserError if there are too few sequences."""
    split = split_documents(recipe)
    train, heldout = split.train, split.heldout
    documents = len(train) + len(heldout)
    places = [document.name_in(Path(text_source(recipe.data))) for document in train]
    if recipe.chunking == "start":
        beginnings = tokenize(train, tokenizer, recipe.length)
        train_rows, train_short = whole(beginnings, recipe.length)
        names = [place for place, row in zip(places, beginnings, strict=True) if len(row) == recipe.length]
        heldout_rows, heldout_short = starts(heldout, tokenizer, recipe.length)
        short = train_short + heldout_short
        trained = {tuple(row) for row in train_rows.tolist()}  # different documents may begin alike
        fresh = [tuple(row) not in trained for row in heldout_rows.tolist()]
        heldout_rows = heldout_rows[torch.tensor(fresh, dtype=torch.bool)]
    else:
        joined = with_ends(train, tokenizer)
        train_rows, heldout_rows = cut(joined, recipe.length), packed(heldout, tokenizer, recipe.length)
        names = spanned(places, [len(row) for row in joined], len(train_rows), recipe.length)
        short = 0
    wanted = recipe.samples if recipe.samples is not None else min(len(train_rows), MOST_SAMPLES)
    problems = []
    if len(train_rows) < max(wanted, 1):
        why = f" ({short} of {documents} documents are shorter)" if short else ""
        why += f" ({split.near_copies} documents are near-copies of held-out ones)" if split.near_copies else ""
        would_do = f"--samples {len(train_rows)}, " if len(train_rows) and recipe.samples else ""
        other = "--chunking packed, " if recipe.chunking == "start" else ""
        problems.append(
            f"--data {recipe.data}: gives {len(train_rows)} training sequences of {recipe.length} tokens{why}, but "
            f"{max(wanted, 1)} are needed; give {would_do}{other}a smaller --length or more text"
        )
    if heldout and not len(heldout_rows):
        problems.append(
            f"--data {recipe.data}: none of the {len(heldout)} held-out documents gives a sequence of {recipe.length} "
            "tokens that does not begin like a training sequence; give a larger --heldout, a smaller --length, or "
            "--heldout 0 to go without validation"
        )
    if problems:
        raise UserError(*problems)
    chosen = choice(len(train_rows), wanted, recipe.seed)
    return Corpus(
        train=train_rows[chosen],
        validation=choose(heldout_rows, min(recipe.validation_samples, len(heldout_rows)), recipe.seed),
        documents=documents,
        duplicates=split.duplicates,
        near_copies=split.near_copies,
        together=split.together,
        short=short,
        heldout_documents=len(heldout),
        available=len(train_rows),
        notes=tuple(split.notes),
        names=tuple(names[place] for place in chosen.tolist()),
    )


def evaluation_texts(
    recipe: Recipe, source: str, tokenizer: PreTrainedTokenizerBase, length: int, column: str | None = None
) -> Tensor:
    """int64[texts, length]: the first tokens of documents of ``source`` that the recipe does not train on.

    For the recipe's own data these are its held-out documents; for another source, with its text column, its held-out
    part, or all of it if it has none, less any text that is trained on, begins like one or is a near-copy of one.
    Raises UserError if none is long enough.
    """
    split = split_documents(recipe)
    train, documents = split.train, split.heldout
    if source != recipe.data:
        everything, apart = read_documents(source, column, flag="--contexts")
        different = unique(apart or everything)
        documents = without_copies(unique(different, train), train)
        if trained_on := len(different) - len(documents):
            say(
                f"--contexts {source}: {trained_on} of {len(different)} texts left out, as they, or near-copies, "
                "are trained on"
            )
    if not documents:
        raise UserError(f"--contexts {source}: all of it was trained on; name other texts")
    rows, short = starts(documents, tokenizer, length)
    shared = min(length, recipe.length)
    trained = {tuple(row) for row in tokenize(train, tokenizer, shared)}
    rows = rows[torch.tensor([tuple(row[:shared]) not in trained for row in rows.tolist()], dtype=torch.bool)]
    if not len(rows):
        raise UserError(
            f"--total {length}: {source} has {len(documents)} documents that are not trained on, {short} of them "
            "shorter; give a smaller --total or other texts with --contexts"
        )
    return rows


def starts(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int) -> tuple[Tensor, int]:
    """(int64[rows, length] of the documents' first tokens, number of documents that were too short)."""
    return whole(tokenize(documents, tokenizer, length), length)


def whole(beginnings: Sequence[list[int]], length: int) -> tuple[Tensor, int]:
    """(int64[rows, length] of those that are so long, number of the others)."""
    rows = [row for row in beginnings if len(row) == length]
    return torch.tensor(rows, dtype=torch.int64).view(len(rows), length), len(beginnings) - len(rows)


def packed(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int) -> Tensor:
    """int64[rows, length]: documents joined, an end-of-text token between them, cut; the rest is left."""
    return cut(with_ends(documents, tokenizer), length)


def with_ends(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase) -> list[list[int]]:
    """Token ids of each document with an end-of-text token behind it, or before it where texts begin with one."""
    end = tokenizer.eos_token_id
    front, _ = added_tokens(tokenizer)
    rows = tokenize(documents, tokenizer, None)
    if end is None:
        return rows
    bare = [without_ends(row, end) for row in rows]
    return [[end, *row] if front[:1] == [end] else [*row, end] for row in bare]


def cut(documents: Sequence[list[int]], length: int) -> Tensor:
    """int64[rows, length]: their tokens one after the other, cut; the rest is left."""
    stream = [token for row in documents for token in row]
    count = len(stream) // length
    return torch.tensor(stream[: count * length], dtype=torch.int64).view(count, length)


def spanned(names: Sequence[str], sizes: Sequence[int], count: int, length: int) -> list[str]:
    """The name of the document that each of ``count`` sequences is cut from; of the first and the last if of several.

    sizes: tokens of the documents, which follow one another.
    """
    ends = list(accumulate(sizes))
    found = []
    for start in range(0, count * length, length):
        first, last = names[bisect_right(ends, start)], names[bisect_left(ends, start + length)]
        found.append(first if first == last else f"{first} to {last}")
    return found


def without_ends(row: list[int], end: int) -> list[int]:
    """The row without the end-of-text tokens at its beginning and at its end: a text may bring its own."""
    inside = [place for place, token in enumerate(row) if token != end]
    return row[inside[0] : inside[-1] + 1] if inside else []


def tokenize(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, most: int | None) -> list[list[int]]:
    """Token ids of each document, with the special tokens the tokenizer puts in front, at most ``most``."""
    rows = token_ids(tokenizer, [document.text.strip() for document in documents])
    return [row[:most] for row in rows]  # tokenizers may be set to cut at the front, or to end what they cut


def choose(rows: Tensor, count: int, seed: int) -> Tensor:
    """``count`` different rows at random, the same for the same seed."""
    return rows[choice(len(rows), count, seed)]


def choice(rows: int, count: int, seed: int) -> Tensor:
    """int64[count]: which of so many rows."""
    return torch.from_numpy(np.random.default_rng([seed, 2]).permutation(rows)[:count].copy())
