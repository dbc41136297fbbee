"""Chats → text, by a model's chat template."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from hyperfit.errors import UserError

NOW = "strftime_now"
"""How a template writes the day on which it is rendered (transformers)."""
DAY = datetime(2024, 7, 26, 12)
"""The one on which all templates are rendered, so that what a model learns is the same tomorrow."""
CODES = ("Y", "y", "m", "-m", "B", "b", "d", "-d", "A", "a", "H", "M", "S")
"""Of a date's parts that are written."""
FIXED = "".join(
    [
        "{% macro strftime_now(format) %}{{ format",
        *(f"|replace('%{code}', '{DAY.strftime(f'%{code}')}')" for code in CODES),
        " }}{% endmacro %}",
    ]
)
"""In front of a template: what it calls for today's date writes that day."""
FIXED_DAY = "the chat template writes today's date, here always 26 July 2024, so that a run can be repeated"

Span = tuple[int, int]
"""Characters from the first up to the second."""


def template_of(tokenizer: PreTrainedTokenizerBase) -> str:
    """The chat template, of several the one called default, on a day that stays. Raises ValueError if there is none."""
    template = str(tokenizer.get_chat_template())
    return FIXED + template if NOW in template else template


def check_template(tokenizer: PreTrainedTokenizerBase, flag: str, remedy: str) -> None:
    """Raises UserError, which names the flag that gave chats, for a tokenizer without a chat template to write them."""
    try:
        template_of(tokenizer)
    except ValueError as error:
        several = "has several, and none is called default" if tokenizer.chat_template else "has none"
        raise UserError(
            f"{flag}: chats are written with the model's chat template, and its tokenizer {several}; {remedy}"
        ) from error


def render(
    document: Document,
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    *,
    answer: bool = False,
    marks: bool = False,
) -> tuple[str, list[Span]]:
    """Messages as the template writes them, and with ``marks`` where it marks what the assistant says.

    answer: with what begins an answer behind them. Raises UserError that names the row if the template does not take
    them.
    """
    chat = [{"role": message.role, "content": message.content} for message in messages]
    rendered: Any = render_jinja_template  # which says that it gives a string
    try:
        texts, marked = rendered(
            conversations=[chat],
            chat_template=template_of(tokenizer),
            add_generation_prompt=answer,
            return_assistant_tokens_mask=marks,
            **tokenizer.special_tokens_map,
        )
        texts[0].encode()  # half a surrogate pair may stand in a template, but is not text
    except Exception as error:  # a template raises what it will
        raise UserError(
            f"{document.origin}: the model's chat template does not take this chat ({error}); mend or remove it"
        ) from error
    return texts[0], [(start, end) for start, end in marked[0]] if marks else []
