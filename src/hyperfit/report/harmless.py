"""Text from models, files and texts, made harmless for a page."""

import re

_HARM = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""C0 and C1 controls but newline and tab, and the characters that turn the direction of what follows."""


def harmless(text: str) -> str:
    """The text without control characters, newline and tab apart, and without those that reverse their surroundings."""
    return _HARM.sub("", text)
