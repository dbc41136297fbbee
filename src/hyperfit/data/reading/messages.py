"""Chats as data sets hold them → messages of roles and texts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = (("role", "content"), ("from", "value"))
"""What the two fields of a message are called: by chat templates, and by ShareGPT."""
ROLES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant"}
"""What other data sets call the roles that chat templates know."""
ASSISTANT = "assistant"
"""Who writes what a model is trained on."""
INSTRUCTING = ("system", "developer")
"""Who tells the assistant how to answer."""
UNREAD = ("tool_calls", "function_call", "reasoning_content", "reasoning", "thinking")
"""Fields of a message that say more than its content does."""


@dataclass(frozen=True)
class Message:
    """What one says in a chat."""

    role: str
    """user, assistant, system, or another that a model's chat template knows."""
    content: str


def is_chat(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return isinstance(value, list) and any(isinstance(one, dict) and has_message(set(one)) for one in value)


def has_message(fields: set[str]) -> bool:
    """Whether these are the fields of a message."""
    return any(set(names) <= fields for names in FIELDS)


def messages_of(value: Any) -> tuple[Message, ...]:
    """The messages of a chat; none of None. Raises ValueError that says what is no message of text."""
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError(f"{excerpt(value)} is not a list of messages")
    return tuple(message_of(one) for one in value)


def message_of(value: Any) -> Message:
    """One message. Raises ValueError for what is none, or none of text."""
    names = next((names for names in FIELDS if isinstance(value, dict) and set(names) <= set(value)), None)
    if names is None:
        raise ValueError(f"{excerpt(value)} is not a message, which has a role and a content")
    role, content = (value[name] for name in names)
    if not isinstance(role, str):
        raise ValueError(f"the role {excerpt(role)} is not a string")
    if more := next((field for field in UNREAD if value.get(field)), None):
        raise ValueError(f"a message has {more}, of which nothing is read; write it into the content, or leave it out")
    if value.get("weight") in (0, 0.0):  # also False
        raise ValueError("a message has weight 0, which is not heeded; put it into the prompt, or leave the row out")
    if not isinstance(content, str):
        content = text_of(content)
    role = role.strip().lower()
    return Message(ROLES.get(role, role), content)


def text_of(content: Any) -> str:
    """A content that is given in parts of text, as one. Raises ValueError for any other part, such as a picture."""
    if not isinstance(content, list) or not content:
        raise ValueError(f"the content {excerpt(content)} is not a string")
    for part in content:
        if not (isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)):
            raise ValueError(f"a content holds {excerpt(part)}, and only text can be read")
    return "".join(part["text"] for part in content)


def excerpt(value: Any) -> str:
    """The beginning of what a value looks like."""
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:39]}…"
