"""Chats and prompts → training sequences of one length, filled up behind what is learned."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress
from hyperfit.data.chats import Passage, passage_of, text_passage
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import ASSISTANT
from hyperfit.data.special_tokens import token_ids
from hyperfit.data.template import FIXED_DAY, NOW, check_template, template_of
from hyperfit.errors import UserError, collecting, naming
from hyperfit.numbers import COUNT
from hyperfit.recipes.recipe import Recipe

BY_TEMPLATE = "as the chat template marks them"
BY_PREFIX = (
    "which are those that each reply adds to the chat before it (the chat template does not mark them), the end of the "
    "turn with them"
)
MANY = 1000
"""Chats and prompts from which on it is shown how many are read; a chat of some turns takes milliseconds."""
MOST_TOLD = 5
"""Chats that cannot be read of which the reason is said."""


def check_prompted(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, recipe: Recipe) -> None:
    """Raises UserError where chats and prompts cannot be trained on at all."""
    problems: list[str] = []
    chats = [document for document in documents if document.messages]
    if recipe.chunking == "packed":
        problems.append(
            f"--chunking packed: joins texts, and {recipe.data} holds chats or prompts; leave it out, and each is one "
            "sequence"
        )
    if chats:
        with collecting(problems):
            check_template(
                tokenizer,
                f"--data {recipe.data}",
                "give a chat model, or texts (another column: --text-column)",
            )
    roles = {message.role for chat in chats for message in chat.messages}
    if chats and ASSISTANT not in roles:
        problems.append(
            f"--data {recipe.data}: no chat has a message of the role assistant, which is what is learned; theirs are "
            f"{', '.join(sorted(roles))}; rename it"
        )
    if problems:
        raise UserError(*problems)


@dataclass(frozen=True)
class Filled:
    """Training sequences of chats and prompts."""

    rows: Tensor
    """int64[rows, length] tokens"""
    learned: Tensor
    """bool[rows, length]: which of them the loss is on."""
    places: list[int]
    """Of which document each row is."""
    marked: int
    """Chats in which the template marks what the assistant says."""
    found: int
    """Chats in which it was found without marks."""
    short: int
    """Texts without a prompt that were left out as they are shorter."""


def filled(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, length: int, flag: str) -> Filled:
    """A row is a document's first tokens up to the last that is learned, filled up behind it, where a causal model's
    loss does not see it. Texts without a prompt have to be so long. Raises UserError with the chats that cannot be
    read, which the flag has given.
    """
    passages = [passage.first(length) for passage in passages_of(documents, tokenizer, flag)]
    pairs = list(zip(documents, passages, strict=True))
    chats = [passage for document, passage in pairs if document.messages and passage.end]
    short = [not document.prompted and len(passage.ids) < length for document, passage in pairs]
    places = [place for place, passage in enumerate(passages) if passage.end and not short[place]]
    kept = [passages[place].first(passages[place].end) for place in places]
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else (tokenizer.eos_token_id or 0)
    rows = [[*one.ids, *[fill] * (length - one.end)] for one in kept]
    learned = [[*one.learned, *[False] * (length - one.end)] for one in kept]
    size = len(kept), length
    return Filled(
        rows=torch.tensor(rows, dtype=torch.int64).view(size),
        learned=torch.tensor(learned, dtype=torch.bool).view(size),
        places=places,
        marked=sum(passage.marked for passage in chats),
        found=sum(not passage.marked for passage in chats),
        short=sum(short),
    )


def passages_of(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, flag: str) -> list[Passage]:
    """Of each document. Raises UserError with the chats that cannot be read, which the flag has given."""
    texts = iter(token_ids(tokenizer, [document.text.strip() for document in documents if not document.prompted]))
    problems, passages = list[str](), list[Passage]()
    count = sum(document.prompted for document in documents)
    with progress("chats and prompts as the model reads them", count, quiet=count < MANY) as advance:
        for document in documents:
            with collecting(problems), naming(flag):
                passages.append(passage_of(document, tokenizer) if document.prompted else text_passage(next(texts)))
            advance(int(document.prompted))
    check_few(problems)
    return passages


def check_few(problems: Sequence[str]) -> None:
    """Raises UserError with the first of many problems of one kind, if there are any."""
    more = f"; and {COUNT(len(problems) - MOST_TOLD)} more like it" if len(problems) > MOST_TOLD else ""
    if problems:
        raise UserError(*problems[: MOST_TOLD - 1], *(one + more for one in problems[MOST_TOLD - 1 : MOST_TOLD]))


def told(documents: Sequence[Document], tokenizer: PreTrainedTokenizerBase, sequences: Filled) -> list[str]:
    """What people should know of how chats and prompts were read as training sequences."""
    chats = [document for document in documents if document.messages]
    if not chats:
        return ["prompts and completions: the loss is on the completions, and on the end of text behind them"]
    notes = []
    ways = ((sequences.marked, BY_TEMPLATE), (sequences.found, BY_PREFIX))
    for count, way in ways:
        if count:
            some = "" if 0 in (sequences.marked, sequences.found) else f", {COUNT(count)} of them"
            notes.append(f"chats{some}: the loss is on the assistant's tokens, {way}")
    if opened := sum(chat.unanswering for chat in chats):
        notes.append(f"chats: in {COUNT(opened)} the assistant speaks first, which answers nothing and is not learned")
    if NOW in template_of(tokenizer):
        notes.append(f"chats: {FIXED_DAY}")
    return notes
