"""Tokens as they stand in a page: text with its spaces to be seen, or the colour of a pixel."""

import re

from markupsafe import Markup

from hyperfit.report.harmless import harmless
from hyperfit.report.pages.templates import isolated

COLOUR = re.compile(r"(#[0-9a-f]{6})(\.\d+)?")
"""How ``hyperfit.image.palette`` names tokens."""


def token_shown(token: str) -> Markup:
    """A token as it stands in a table: line ends and empty ones to be seen, and the colour that a pixel's token is."""
    return swatch(token) or isolated(harmless(token).strip(" ").replace("\n", "↵") or "␣")


def quoted(token: str) -> Markup:
    """A token between quotes, its spaces and line ends to be seen; a colour as itself."""
    return swatch(token) or isolated(repr(harmless(token)))


def context_shown(text: str) -> Markup:
    """What stands before a choice: text, or the colours of the pixels."""
    colours = [swatch(word) for word in text.split()]
    return Markup("").join(colours) if colours and all(colours) else isolated(text)


def swatch(token: str) -> Markup:
    """A square of the colour that a token of a model of pictures names; "" for what names none."""
    found = COLOUR.fullmatch(token)
    shown = Markup('<i class="pixel" role="img" aria-label="{}" title="{}" style="background:{}"></i>')
    return shown.format(token, token, found[1]) if found else Markup()
