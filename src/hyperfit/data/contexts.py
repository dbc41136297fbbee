"""Texts and chats that a model was not trained on, cut where it is to go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.characters import character_end
from hyperfit.data.chats import check_template, passage_of
from hyperfit.data.corpus import tokenize
from hyperfit.data.prompted import is_prompted
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.data.split import split_documents, unique, without_copies
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Cut:
    """The beginning of a text or chat, and how far into it a model's context reaches."""

    ids: tuple[int, ...]
    """Of context and continuation."""
    context: int
    """Tokens of the context."""


def evaluation_texts(
    recipe: Recipe,
    source: str,
    tokenizer: PreTrainedTokenizerBase,
    total: int,
    context: int,
    column: str | None = None,
    limit: int | None = None,
) -> list[Cut]:
    """Beginnings of documents of ``source`` that the recipe does not train on.

    Of a text its first ``total`` tokens, of which ``context``, or the few less that end with a whole character, are
    its context. Of a chat, or a prompt with its completion, the first reply of at least ``total - context`` tokens,
    cut to that, and all that stands before it, where both have at most ``limit`` tokens. For the recipe's own data
    these are its held-out documents; for another source, with its text column, its held-out part, or all of it if it
    has none. Left out is what is trained on, begins like it, answers the same prompt or is a near-copy. Raises
    UserError if none is long enough.
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
    found = beginnings(documents, source, tokenizer, total, context, limit)
    short = len(documents) - len(found)
    trained = trained_beginnings(train, tokenizer, min(total, recipe.length))
    found = [one for one in found if not {one.ids[: min(total, recipe.length)], one.ids[: one.context]} & trained]
    if not found:
        replies = " (replies, where they are chats)" if any(map(is_prompted, documents)) else ""
        raise UserError(
            f"--total {total}: {source} has {len(documents)} documents that are not trained on, {short} of them "
            f"shorter{replies}; give a smaller --total or other texts with --contexts"
        )
    return found


def trained_beginnings(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int
) -> set[tuple[int, ...]]:
    """Of texts their first ``length`` tokens; of chats and prompts what stands before each reply."""
    texts = [document for document in documents if not is_prompted(document)]
    found = {tuple(row) for row in tokenize(texts, tokenizer, length)}
    for document in documents:
        if is_prompted(document):
            passage = passage_of(document, tokenizer)
            found |= {tuple(passage.ids[:start]) for start, _ in passage.replies}
    return found


def beginnings(
    documents: Sequence[Document],
    source: str,
    tokenizer: PreTrainedTokenizerBase,
    total: int,
    context: int,
    limit: int | None,
) -> list[Cut]:
    """Those documents that are long enough, as ``evaluation_texts`` cuts them."""
    if any(document.messages for document in documents):
        check_template(tokenizer, f"--contexts {source}")
    texts = iter(tokenize([one for one in documents if not is_prompted(one)], tokenizer, total))
    found: list[Cut] = []
    for document in documents:
        if is_prompted(document):
            passage = passage_of(document, tokenizer)
            ends = [
                (start, start + total - context) for start, end in passage.replies if end - start >= total - context
            ]
            found += [Cut(tuple(passage.ids[:end]), start) for start, end in ends[:1] if end <= (limit or end)]
        elif len(row := next(texts)) == total:
            found.append(Cut(tuple(row), character_end(tokenizer, row, context)))
    return found
