"""A document: one text or chat, and where it came from."""

from dataclasses import dataclass
from pathlib import Path

from hyperfit.data.reading.messages import ASSISTANT, INSTRUCTING, Message

ROWS = {".jsonl": "line", ".csv": "row", ".parquet": "row", ".npz": "row"}
"""What a row is called in a file with this ending."""


@dataclass(frozen=True)
class Document:
    """One text or chat and where it came from, such as ``stories.jsonl:12``."""

    text: str
    """Of a chat what all say, one after the other."""
    origin: str
    messages: tuple[Message, ...] = ()
    """Of a chat."""
    given: int | None = None
    """How much at the beginning is a prompt, which no loss is taken of: characters of a text, messages of a chat.
    None: the text is no completion of a prompt."""

    @property
    def prompted(self) -> bool:
        """Whether some of it is read and not learned: a chat, or a prompt with its completion."""
        return bool(self.messages) or self.given is not None

    @classmethod
    def of_chat(cls, messages: tuple[Message, ...], origin: str, given: int = 0) -> "Document":
        """A chat, of which so many messages are its prompt."""
        return cls("\n\n".join(message.content for message in messages), origin, messages, given)

    @property
    def asked(self) -> int:
        """Which message is the first that can be answered: neither the assistant's nor an instruction to it."""
        roles = [message.role for message in self.messages]
        return next((n for n, role in enumerate(roles) if role not in (ASSISTANT, *INSTRUCTING)), len(roles))

    @property
    def replies(self) -> list[int]:
        """Which messages are the assistant's, not of the prompt, and behind one that they answer."""
        least = max(self.given or 0, self.asked)
        return [n for n, message in enumerate(self.messages) if message.role == ASSISTANT and n >= least]

    @property
    def unanswering(self) -> bool:
        """Whether the assistant speaks before anything is asked."""
        return any(message.role == ASSISTANT for message in self.messages[: self.asked])

    @property
    def learned(self) -> str:
        """What a model is to learn of it: a text, the completion of a prompt, the replies of a chat."""
        if not self.messages:
            return self.text[self.given or 0 :]
        return "\n\n".join(self.messages[number].content for number in self.replies)

    def name_in(self, source: Path) -> str:
        """Its file and row, as ``name_in`` tells them."""
        return name_in(self.origin, source)


def name_in(origin: str, source: Path) -> str:
    """The file of an origin, seen from the folder ``source``, and its row there, such as ``a/stories.jsonl, line 12``.

    Rows count from 1: the lines of a .jsonl file as an editor shows them, the rows of a .csv file below the names
    of its columns, those of a .parquet file or of a data set of the hub from its first. What does not lie in
    ``source`` is called by its own name.
    """
    place, _, row = origin.rpartition(":")
    if not row.isdigit():
        place, row = origin, ""
    path = Path(place)
    if path.is_relative_to(source) and path != source:
        place = path.relative_to(source).as_posix()
    elif not row or path.suffix.lower() in ROWS:
        place = path.name
    return f"{place}, {ROWS.get(path.suffix.lower(), 'row')} {row}" if row else place
