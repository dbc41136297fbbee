"""Documents → token ids, and which of them a model is to learn: all of a text, of a chat what the assistant says."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import ASSISTANT, Message
from hyperfit.data.special_tokens import token_ids
from hyperfit.data.template import Span, render, template_of
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
    marked: bool = False
    """Whether it is a chat whose template tells which these are."""

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
        return Passage(self.ids[:length], self.learned[:length], self.marked)


def passage_of(document: Document, tokenizer: PreTrainedTokenizerBase) -> Passage:
    """The tokens of a chat by the model's template, of a completion behind its prompt, or of a text.

    A completion ends with the token that ends a text. Raises UserError, naming the row, for a chat that the template
    does not take, or of which it does not tell what the assistant says.
    """
    if document.messages:
        return chat_passage(document, tokenizer)
    if document.given is None:
        (ids,) = token_ids(tokenizer, [document.text.strip()])
        return text_passage(ids)
    ids, prompt = token_ids(tokenizer, [document.text, document.text[: document.given]])
    if tokenizer.eos_token_id is not None and ids[-1:] != [tokenizer.eos_token_id]:
        ids = [*ids, tokenizer.eos_token_id]
    start = max(shared(ids, prompt), 1) if document.learned.strip() else len(ids)
    return Passage(ids, [place >= start for place in range(len(ids))])


def text_passage(ids: list[int]) -> Passage:
    """A text, of which all but the first token can be learned."""
    return Passage(ids, [place > 0 for place in range(len(ids))])


def chat_passage(document: Document, tokenizer: PreTrainedTokenizerBase) -> Passage:
    """A chat: learned are the assistant's tokens as the template marks them, else as ``found_replies`` finds them."""
    marks = MARK.search(template_of(tokenizer)) is not None
    text, spans = render(document, tokenizer, document.messages, marks=marks)
    if before := max(document.given or 0, document.unanswering and document.asked):
        start = shared(text, render(document, tokenizer, document.messages[:before])[0])
        spans = [(max(first, start), end) for first, end in spans if end > start]
    if not spans:
        found = found_replies(document, tokenizer, text)
        return Passage(*within(text, found, tokenizer))
    return Passage(*within(text, spans, tokenizer), marked=True)


def found_replies(document: Document, tokenizer: PreTrainedTokenizerBase, text: str) -> list[Span]:
    """Where in a whole chat its replies stand: what each adds to the chat before it and what begins an answer.

    That is its content with what ends the turn, and what the template puts between an answer's beginning and it. Raises
    UserError where the template writes the chat before a reply in another way than in the whole one, or the reply.
    """
    found: list[Span] = []
    for number in document.replies:
        before, said = document.messages[:number], document.messages[number].content.strip()
        closed, _ = render(document, tokenizer, before)
        header, _ = render(document, tokenizer, before, answer=True)
        until, _ = render(document, tokenizer, document.messages[: number + 1])
        begun = shared(until, header)
        place = until.find(said, begun if begun == len(header) else max(0, begun - len(said)))
        if place < 0:
            raise UserError(
                f"{document.origin}: the model's chat template does not write message {number + 1} as it is, so that "
                "it cannot be found in the chat; mark what the assistant says in the template ({% generation %} in "
                "chat_template.jinja), or change the message"
            )
        # another header than is asked with, or none: what stands before the content is not the assistant's
        own = begun == len(header) and (header != closed or not until[begun:place].strip())
        start, end = begun if own else place, shared(until, text)
        if end < max(place + len(said), start + 1):
            raise UserError(
                f"{document.origin}: the model's chat template does not mark what the assistant says "
                f"({{% generation %}}), and writes what comes before the end of message {number + 1} in another way "
                "than in the whole chat, so that it cannot be found either; mark it in the template "
                "(chat_template.jinja)"
            )
        found.append((start, end))
    return found


def within(text: str, spans: Sequence[Span], tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[bool]]:
    """Token ids of a chat, and which of them stand in some of its characters; the first one never does.

    A token across the beginning of a span stands in it, one across its end does not.
    """
    borders = [place for span in spans for place in span]
    ids, *before = bare_ids(tokenizer, [text, *(text[:place] for place in borders)])
    places = [max(shared(ids, row), 1) for row in before]
    learned = [False] * len(ids)
    for start, end in zip(places[::2], places[1::2], strict=True):
        learned[start:end] = [True] * (end - start)
    return ids, learned


def bare_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of chats, whose template has written all special tokens."""
    return [list(row) for row in tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]]


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
    """The tokens of a whole chat and of what begins the assistant's answer to it.

    Raises UserError where the template leaves out what is to be answered.
    """
    text, _ = render(document, tokenizer, document.messages, answer=True)
    if document.messages[-1].content.strip() not in text:
        raise UserError(
            f"{document.origin}: the model's chat template does not write the last message as it is, so that it would "
            "answer another; leave --chat out, and write the prompt as the model reads it"
        )
    (ids,) = bare_ids(tokenizer, [text])
    return ids


def shared(one: Sequence[object], other: Sequence[object]) -> int:
    """How many tokens, or characters, both begin with."""
    return next(
        (place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
    )
