"""Texts and chats that a model was not trained on, cut where it is to go on."""

from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hyperfit.console import say
from hyperfit.data.characters import character_end
from hyperfit.data.chats import Passage
from hyperfit.data.prompted import passages_of
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.sources import read_documents
from hyperfit.data.split import split_documents, unique, without_copies
from hyperfit.data.template import check_template
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe


@dataclass(frozen=True)
class Cut:
    """The beginning of a text or chat, and how far into it a model's context reaches."""

    ids: tuple[int, ...]
    """Of context and continuation."""
    context: int
    """Tokens of the context."""
    chat: bool = False
    """Whether its special tokens are the words of a chat template."""


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
    UserError if none is left.
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
    if any(document.messages for document in documents):
        check_template(tokenizer, f"--contexts {source}", "name texts")
    passages = passages_of(documents, tokenizer, "--contexts")
    cuts = [
        reply_cut(document, passage, total - context)
        if document.prompted
        else text_cut(passage, tokenizer, total, context)
        for document, passage in zip(documents, passages, strict=True)
    ]
    long = [cut for cut in cuts if cut is not None]
    fitting = [cut for cut in long if limit is None or len(cut.ids) <= limit]
    most = min(total, recipe.length)
    trained = {tuple(row) for row in trained_beginnings(train, tokenizer, most)}
    found = [cut for cut in fitting if not {cut.ids[:most], cut.ids[: cut.context]} & trained]
    if found:
        return found
    prompted = any(document.prompted for document in documents)
    reasons = (
        (len(cuts) - len(long), f"shorter{' (replies, where they are chats or prompts)' if prompted else ''}"),
        (len(long) - len(fitting), f"of more than the model's {limit} positions with what stands before the reply"),
        (len(fitting), "beginning like what is trained on"),
    )
    raise UserError(
        f"--total {total}: {source} has {len(documents)} documents that are not trained on, "
        f"{', '.join(f'{count} of them {why}' for count, why in reasons if count)}; give "
        f"{'a smaller --total or ' if len(long) < len(cuts) else ''}other texts with --contexts"
    )


def text_cut(passage: Passage, tokenizer: PreTrainedTokenizerBase, total: int, context: int) -> Cut | None:
    """The first tokens of a text; None where it has fewer."""
    ids = passage.ids[:total]
    return Cut(tuple(ids), character_end(tokenizer, ids, context)) if len(ids) == total else None


def reply_cut(document: Document, passage: Passage, length: int) -> Cut | None:
    """The first reply of so many tokens, cut to them, behind all before it; None where all are shorter."""
    starts = [start for start, end in passage.replies if end - start >= length]
    return Cut(tuple(passage.ids[: starts[0] + length]), starts[0], bool(document.messages)) if starts else None


def trained_beginnings(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int
) -> list[list[int]]:
    """Of texts their first ``length`` tokens; of chats and prompts what stands before each reply."""
    found = []
    for document, passage in zip(documents, passages_of(documents, tokenizer, "--data"), strict=True):
        ends = [start for start, _ in passage.replies] if document.prompted else [length]
        found += [passage.ids[:end] for end in ends]
    return found
