"""What all pages are made with: their templates, and what makes foreign text harmless in them."""

from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from hyperfit.report.harmless import harmless
from hyperfit.report.look import IN_DARK, IN_FILE

MARKS = 6
"""Colours of repeated spans, told apart also without red or green (tests/report/plots/test_colours.py)."""
LETTERS = "abcdefghijklmnopqrstuvwx"
"""Before the first piece of a repeated span; as many spans have a name of their own, colour and letter, in a text."""


def clean(value: Any) -> Any:
    """What a template writes, without the characters that reverse their surroundings: of all text, none forgotten."""
    if isinstance(value, Markup):
        return Markup(harmless(value))
    return harmless(value) if isinstance(value, str) else value


def isolated(value: Any) -> Markup:
    """Foreign text that cannot change its surroundings, whatever its direction."""
    return Markup("<bdi>{}</bdi>").format(harmless(str(value)))


def row_name(value: str) -> Markup:
    """The same, broken behind its slashes where it is broken."""
    return Markup("<bdi>{}</bdi>").format(Markup("/<wbr>").join(harmless(value).split("/")))


def plain(value: Any) -> str:
    """A setting of any kind in words; "–" for none."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(inner)}" for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value)) or "–"
    return "–" if value is None else str(value)


TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    finalize=clean,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
TEMPLATES.filters |= {"foreign": isolated, "row_name": row_name}
TEMPLATES.globals["letters"] = LETTERS
TEMPLATES.globals["plain"] = plain
TEMPLATES.globals["series_light"] = {name: getattr(IN_FILE, name) for name in IN_DARK}
TEMPLATES.globals["series_dark"] = IN_DARK
