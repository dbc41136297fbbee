"""Documents → token ids, and which of them a model is to learn: all of a text, of a chat what the assistant says."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import ASSISTANT, Message
from hyperfit.data.special_tokens import token_ids
from hyperfit.errors import UserError

MARK = re.compile(r"{%-?\s*generation\s*-?%}")
"""What in a template marks where the assistant's words begin (transformers)."""


@dataclass(frozen=True)
class Passage:
    """A document as a model reads it."""

    ids: list[int]
    """Its tokens."""
    learned: list[bool]
    """Which of them the loss is on."""

    @property
    def end(self) -> int:
        """Tokens up to the last one that is learned; 0 where none is."""
        return max((place + 1 for place, learned in enumerate(self.learned) if learned), default=0)

    @property
    def replies(self) -> list[tuple[int, int]]:
        """Where each run of learned tokens begins and ends."""
        edges = [
            place
            for place, (a, b) in enumerate(zip([False, *self.learned], [*self.learned, False], strict=True))
            if a != b
        ]
        return list(zip(edges[::2], edges[1::2], strict=True))

    def first(self, length: int) -> "Passage":
        """At most its first tokens."""
        return Passage(self.ids[:length], self.learned[:length])


def passage_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> Passage:
    """The tokens of a chat by the model's template, of a completion behind its prompt, or of a text.

    A completion ends with the token that ends a text. Raises UserError, naming the row, for a chat that the template
    does not take, or of which it does not tell what the assistant says.
    """
    if document.messages:
        return chat_passage(document, tokenizer)
    if not document.given:
        (ids,) = token_ids(tokenizer, [document.text.strip()])
        return Passage(ids, [False, *[True] * (len(ids) - 1)] if ids else [])
    whole, prompt = token_ids(tokenizer, [document.text, document.text[: document.given]])
    start = shared(whole, prompt)  # a token across the border is the completion's
    end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    return Passage([*whole, *end], [place >= max(start, 1) for place in range(len(whole) + len(end))])


def chat_passage(document: Document, tokenizer: PreTrainedTokenizerBase) -> Passage:
    """A chat: learned are the assistant's tokens as the template marks them, else as ``found_replies`` finds them."""
    rendered = render(document, tokenizer, document.messages, marks=marks_replies(tokenizer))
    ids = list(rendered["input_ids"])
    marked = [bool(one) for one in rendered.get("assistant_masks", ())]
    if document.given and any(marked):  # what the prompt's own replies are marked by does not count
        start = len(render(document, tokenizer, document.messages[: document.given])["input_ids"])
        marked = [one and place >= start for place, one in enumerate(marked)]
    return Passage(ids, marked if any(marked[1:]) else found_replies(document, tokenizer, ids))


def marks_replies(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the chat template marks what the assistant says, and the tokenizer can follow the marks."""
    return bool(tokenizer.is_fast and MARK.search(str(tokenizer.get_chat_template())))


def check_template(tokenizer: PreTrainedTokenizerBase, flag: str) -> None:
    """Raises UserError, which names the flag that gave chats, for a tokenizer without a chat template."""
    if not tokenizer.chat_template:
        raise UserError(
            f"{flag}: chats are written with the model's chat template, and its tokenizer has none; give a chat model, "
            "or texts (another column: --text-column)"
        )


def found_replies(document: Document, tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[bool]:
    """Which tokens of a chat are replies: those that each one adds to the chat before it and the assistant's header.

    bool per token of ``ids``. Raises UserError where the template writes the chat before a reply in another way.
    """
    learned = [False] * len(ids)
    for number in document.replies:
        before = list(header(document, tokenizer, number))
        until = list(render(document, tokenizer, document.messages[: number + 1])["input_ids"])
        if list(ids[: len(until)]) != until or until[: len(before)] != before:
            raise UserError(
                f"{document.origin}: the model's chat template does not mark what the assistant says "
                f"({{% generation %}}), and writes what comes before the end of message {number + 1} in another way "
                "than in the whole chat, so that it cannot be found either; mark it in the template "
                "(chat_template.jinja)"
            )
        learned[len(before) : len(until)] = [True] * (len(until) - len(before))
    return [False, *learned[1:]]


def to_answer(document: Document) -> Document:
    """What of a chat stands before its last reply; a text as what the user says. Raises UserError where that is none.

    Its ``text`` is that chat, as people read it.
    """
    messages = list(document.messages or (Message("user", document.text),))
    while messages and messages[-1].role == ASSISTANT:
        messages.pop()
    if not messages:
        raise UserError(f"{document.origin}: the assistant speaks first, so that there is nothing to answer; remove it")
    text = messages[0].content if len(messages) == 1 else "\n".join(f"{one.role}: {one.content}" for one in messages)
    return Document(text, document.origin, tuple(messages))


def answer_header(document: Document, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens of a whole chat and of what begins the assistant's answer to it."""
    return header(document, tokenizer, len(document.messages))


def header(document: Document, tokenizer: PreTrainedTokenizerBase, number: int) -> list[int]:
    """The tokens that stand before a reply: of the messages before it, and of what begins an answer."""
    if not number:
        return []
    return list(render(document, tokenizer, document.messages[:number], answer=True)["input_ids"])


def render(
    document: Document,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    *,
    answer: bool = False,
    marks: bool = False,
) -> Mapping[str, Any]:
    """``input_ids`` of messages by the model's template. answer: with what begins an answer behind them.

    marks: ``assistant_masks``, too. Raises UserError that names the row if the template does not take them.
    """
    chat = [{"role": message.role, "content": message.content} for message in messages]
    try:
        found: Mapping[str, Any] = tokenizer.apply_chat_template(  # type: ignore[assignment]
            chat, tokenize=True, return_dict=True, add_generation_prompt=answer, return_assistant_tokens_mask=marks
        )
    except Exception as error:  # a template raises what it will
        raise UserError(
            f"{document.origin}: the model's chat template does not take this chat ({error}); mend or remove it"
        ) from error
    return found


def shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
