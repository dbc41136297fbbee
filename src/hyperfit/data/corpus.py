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

from hyperfit.data.builtin import text_source
from hyperfit.data.chats import Passage
from hyperfit.data.prompted import check_prompted, filled, told
from hyperfit.data.reading.documents import Document
from hyperfit.data.special_tokens import added_tokens, token_ids
from hyperfit.data.split import split_documents
from hyperfit.errors import UserError
from hyperfit.numbers import COUNT
from hyperfit.recipes.recipe import MOST_SAMPLES, Recipe

MUCH_LONGER = 20
"""Times as long as a sequence are documents, on average, of which one would hardly want the beginnings alone."""


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
    chats: bool = False
    """Whether these are chats, of which what the assistant says is learned."""
    names: tuple[str, ...] = ()
    """The document, or the first and the last, that each training sequence is of: file and row."""
    replyless: int = 0
    """Chats and prompts left out because nothing that is learned stands in their first tokens."""
    learned: Tensor | None = None
    """bool[samples, length]: which tokens of ``train`` the loss is on, where these are not all but the first: replies
    of chats, completions of prompts. What stands behind the last of a row fills it up."""
    validation_learned: Tensor | None = None
    """The same of ``validation``."""

    @property
    def sequences(self) -> list[list[int]]:
        """The training sequences without what fills them up."""
        return unfilled(self.train, self.learned)

    @property
    def validation_sequences(self) -> list[list[int]]:
        """The same of those held out."""
        return unfilled(self.validation, self.validation_learned)

    @property
    def learned_texts(self) -> list[list[int]]:
        """What of the training sequences can be recited: each run of learned tokens by itself, where not all are.

        Nothing goes on from one of them to the next; what is only read, such as a system prompt, is in none.
        """
        return [tokens for _, tokens in learned_runs(self.train, self.learned)]

    @property
    def learned_names(self) -> list[str]:
        """The document that each of ``learned_texts`` is of, as in ``names``."""
        return [self.names[row] for row, _ in learned_runs(self.train, self.learned)]

    @property
    def labels(self) -> Tensor:
        """int64[samples, length]: ``train`` for the loss of a transformers model, -100 at what is not learned."""
        return self.train if self.learned is None else self.train.where(self.learned, -100)

    def predicted(self, rows: Sequence[int]) -> int:
        """Tokens of some training sequences that the loss is on."""
        if self.learned is None:
            return len(rows) * (self.train.shape[1] - 1)
        return int(self.learned[list(rows), 1:].sum())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all token ids, first 16 hexadecimal digits: equal data, equal choice, equal tokenizer."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.learned, self.validation_learned):
            if part is not None:
                digest.update(repr(tuple(part.shape)).encode() + part.numpy().tobytes())
        return digest.hexdigest()[:16]

    def describe(self) -> str:
        """One line for people."""
        counts = (
            (self.duplicates, "duplicates"),
            (self.near_copies, "near-copies of held-out ones"),
            (self.short, "too short"),
            (self.replyless, "without a reply in their first tokens"),
        )
        left_out = [f"{count} {what}" for count, what in counts if count]
        return (
            f"{len(self.train)} of {self.available} training sequences of {self.train.shape[1]} tokens, "
            f"{len(self.validation)} held out for validation; {self.documents} {self.documents_called}"
            + (f" ({', '.join(left_out)} left out)" if left_out else "")
            + f", {self.heldout_documents} of them held out"
            + (f"; {self.together} have near-copies, on the same side" if self.together else "")
            + (f"; learned: {COUNT(int(self.learned.sum()))} tokens of replies" if self.learned is not None else "")
            + f"; fingerprint {self.fingerprint}"
        )


def build_corpus(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> Corpus:
    """Read, split, tokenise and choose. Raises UserError if there are too few sequences."""
    split = split_documents(recipe)
    train, heldout = split.train, split.heldout
    documents = len(train) + len(heldout)
    places = [document.name_in(Path(text_source(recipe.data))) for document in train]
    short, replyless, learned, heldout_learned = 0, 0, None, None
    notes = list(split.notes)
    if any(document.prompted for document in (*train, *heldout)):
        check_prompted([*train, *heldout], tokenizer, recipe)
        every = filled([*train, *heldout], tokenizer, recipe.length, "--data")
        first = sum(place < len(train) for place in every.places)
        train_rows, heldout_rows = every.rows[:first], every.rows[first:]
        learned, heldout_learned = every.learned[:first], every.learned[first:]
        names = [places[place] for place in every.places[:first]]
        short, replyless = every.short, documents - every.short - len(every.places)
        notes += told([*train, *heldout], tokenizer, every)
        fresh = new_rows(heldout_rows, train_rows)
        heldout_rows, heldout_learned = heldout_rows[fresh], heldout_learned[fresh]
    elif recipe.chunking == "start":
        texts = tokenize(train, tokenizer, None)
        notes += left_behind(texts, recipe.length)
        beginnings = [row[: recipe.length] for row in texts]
        train_rows, train_short = whole(beginnings, recipe.length)
        names = [place for place, row in zip(places, beginnings, strict=True) if len(row) == recipe.length]
        heldout_rows, heldout_short = starts(heldout, tokenizer, recipe.length)
        short = train_short + heldout_short
        heldout_rows = heldout_rows[new_rows(heldout_rows, train_rows)]
    else:
        joined = with_ends(train, tokenizer)
        train_rows, heldout_rows = cut(joined, recipe.length), packed(heldout, tokenizer, recipe.length)
        names = spanned(places, [len(row) for row in joined], len(train_rows), recipe.length)
    wanted = recipe.samples if recipe.samples is not None else min(len(train_rows), MOST_SAMPLES)
    problems = []
    if len(train_rows) < max(wanted, 1):
        why = f" ({short} of {documents} documents are shorter)" if short else ""
        why += f" ({replyless} chats or prompts have no reply in so many)" if replyless else ""
        why += f" ({split.near_copies} documents are near-copies of held-out ones)" if split.near_copies else ""
        would_do = f"--samples {len(train_rows)}, " if len(train_rows) and recipe.samples else ""
        other = "--chunking packed, " if recipe.chunking == "start" else ""
        other += "a smaller --length or more text"
        if learned is not None:
            other = "a larger --length or more of them" if replyless else "more of them"
        problems.append(
            f"--data {recipe.data}: gives {len(train_rows)} training sequences of {recipe.length} tokens{why}, but "
            f"{max(wanted, 1)} are needed; give {would_do}{other}"
        )
    if heldout and not len(heldout_rows):
        problems.append(
            f"--data {recipe.data}: none of the {len(heldout)} held-out documents gives a sequence of {recipe.length} "
            f"tokens that does not begin like a training sequence; give a larger --heldout, a "
            f"{'smaller' if learned is None else 'larger'} --length, or --heldout 0 to go without validation"
        )
    if problems:
        raise UserError(*problems)
    chosen = choice(len(train_rows), wanted, recipe.seed)
    held = choice(len(heldout_rows), min(recipe.validation_samples, len(heldout_rows)), recipe.seed)
    return Corpus(
        train=train_rows[chosen],
        validation=heldout_rows[held],
        documents=documents,
        duplicates=split.duplicates,
        near_copies=split.near_copies,
        together=split.together,
        short=short,
        heldout_documents=len(heldout),
        available=len(train_rows),
        notes=tuple(notes),
        names=tuple(names[place] for place in chosen.tolist()),
        replyless=replyless,
        chats=any(document.messages for document in train),
        learned=None if learned is None else learned[chosen],
        validation_learned=None if heldout_learned is None else heldout_learned[held],
    )


def unfilled(rows: Tensor, learned: Tensor | None) -> list[list[int]]:
    """The tokens of int64[rows, length] sequences, up to the last one that is learned where not all are."""
    found: list[list[int]] = rows.tolist()
    if learned is None:
        return found
    ends = [max((place + 1 for place, one in enumerate(row) if one), default=0) for row in learned.tolist()]
    return [row[:end] for row, end in zip(found, ends, strict=True)]


def learned_runs(rows: Tensor, learned: Tensor | None) -> list[tuple[int, list[int]]]:
    """(row, tokens) of each run of learned tokens of int64[rows, length] sequences; of whole ones where all are."""
    found: list[list[int]] = rows.tolist()
    if learned is None:
        return list(enumerate(found))
    passages = map(Passage, found, learned.tolist())
    return [(row, one.ids[start:end]) for row, one in enumerate(passages) for start, end in one.replies]


def left_behind(texts: Sequence[list[int]], length: int) -> list[str]:
    """A note where nearly all of the texts is left out: on average they are longer than ``MUCH_LONGER`` sequences."""
    tokens = sum(len(row) for row in texts)
    if tokens <= MUCH_LONGER * length * len(texts):
        return []
    documents = f"{len(texts)} document{'s' * (len(texts) != 1)}"
    return [
        f"of {COUNT(tokens)} tokens in {documents} only the first {length} of each are trained on; "
        "--chunking packed takes all"
    ]


def new_rows(rows: Tensor, trained: Tensor) -> Tensor:
    """bool[rows]: which are not among those that are trained on; different documents may begin alike."""
    known = {tuple(row) for row in trained.tolist()}
    return torch.tensor([tuple(row) not in known for row in rows.tolist()], dtype=torch.bool)


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
