"""A document: one text, and where it came from."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Document:
    """One text and where it came from, such as ``stories.jsonl:12``."""

    text: str
    origin: str
