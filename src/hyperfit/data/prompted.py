"""Chats and prompts → training sequences of one length, filled up behind what is learned."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.data.chats import Passage, check_template, marks_replies, passage_of
from hyperfit.data.reading.documents import Document
from hyperfit.errors import UserError, collecting
from hyperfit.recipes.recipe import Recipe

MARKED_BY_PREFIX = (
    "which are those that each reply adds to the chat before it (the chat template does not mark them), the end of the "
    "turn with them"
)
MOST_TOLD = 5
"""Chats that cannot be read of which the reason is said."""


def is_prompted(document: Document) -> bool:
    """Whether some of a document is read and not learned: a chat, or a prompt with its completion."""
    return bool(document.messages or document.given)


def told(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> list[str]:
    """What people should know of how chats and prompts are read. Raises UserError where they cannot be."""
    if recipe.chunking == "packed":
        raise UserError(
            f"--chunking packed: joins texts, and {recipe.data} holds chats or prompts; leave it out, and each is one "
            "sequence"
        )
    if not any(document.messages for document in documents):
        return ["prompts and completions: the loss is on the completions, and on the end of text behind them"]
    check_template(tokenizer, f"--data {recipe.data}")
    way = "as the chat template marks them" if marks_replies(tokenizer) else MARKED_BY_PREFIX
    return [f"chats: the loss is on the assistant's tokens, {way}"]


def filled(
    documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int
) -> tuple[Tensor, Tensor, list[int]]:
    """int64[rows, length] tokens, bool[rows, length] which are learned, and of which document each row is.

    A row is a document's first tokens up to the last that is learned, filled up behind it, where a causal model's loss
    does not see it. Texts without a prompt have to be so long. Raises UserError with every chat that cannot be read.
    """
    problems, passages = list[str](), list[tuple[int, Passage]]()
    for place, document in enumerate(documents):
        with collecting(problems):
            passage = passage_of(document, tokenizer).first(length)
            if passage.end and (is_prompted(document) or len(passage.ids) == length):
                passages.append((place, passage.first(passage.end)))
    if problems:
        more = f"; and {len(problems) - MOST_TOLD} more like it" if len(problems) > MOST_TOLD else ""
        raise UserError(*problems[: MOST_TOLD - 1], *(one + more for one in problems[MOST_TOLD - 1 : MOST_TOLD]))
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    rows = [[*one.ids, *[fill] * (length - one.end)] for _, one in passages]
    learned = [[*one.learned, *[False] * (length - one.end)] for _, one in passages]
    size = len(passages), length
    return (
        torch.tensor(rows, dtype=torch.int64).view(size),
        torch.tensor(learned, dtype=torch.bool).view(size),
        [place for place, _ in passages],
    )
