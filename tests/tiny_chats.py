"""A chat template for tiny models, with and without marks of what the assistant says, and chats."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from tiny_models import save_tiny, tiny_tokenizer

MARKED = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '[a]' }}"
    "{% generation %}{{ message['content'] + '\n' }}{% endgeneration %}"
    "{% else %}{{ '[' + message['role'][0] + ']' + message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[a]' }}{% endif %}"
)
"""Writes [u]question, line end, [a]answer, line end; what is generated is the answer with its line end."""
PLAIN = MARKED.replace("{% generation %}", "").replace("{% endgeneration %}", "")
FORGETS = PLAIN.replace("messages %}", "messages[-2:] %}", 1)
"""Leaves out all but the last two messages, as templates do with earlier thoughts."""


def chat(*contents: str, system: str | None = None) -> tuple[Message, ...]:
    """User and assistant in turn."""
    first = () if system is None else (Message("system", system),)
    return (*first, *(Message(("user", "assistant")[n % 2], content) for n, content in enumerate(contents)))


def chat_tokenizer(template: str | dict[str, str] = PLAIN) -> Any:
    """Of single bytes, with a chat template."""
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = template
    return tokenizer


def document(*contents: str, system: str | None = None) -> Document:
    """A chat of this row."""
    return Document.of_chat(chat(*contents, system=system), "chats.jsonl:1")


def save_chat_model(folder: Path, template: str = PLAIN, **changes: Any) -> Path:
    """A tiny random Llama whose tokenizer has a chat template."""
    save_tiny(folder, max_position_embeddings=256, **changes)
    chat_tokenizer(template).save_pretrained(folder)
    return folder


def write_chats(path: Path, chats: Sequence[Sequence[str]]) -> Path:
    """A file of chats of user and assistant in turn."""
    rows = [
        [{"role": ("user", "assistant")[n % 2], "content": content} for n, content in enumerate(contents)]
        for contents in chats
    ]
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    return path
