"""Rows of a .csv file: separated by commas, or by what else all of its rows are, under a row of names."""

import csv
import io
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from hyperfit.data.reading.columns import PAIR, TextColumn
from hyperfit.data.reading.decode import decode
from hyperfit.errors import UserError

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
"""Tried in turn."""
NAME_WORDS, NAME_LETTERS = 5, 50
"""Most that the name of a column has."""

Row = list[str]


def read_delimited(path: Path, column: TextColumn, notes: list[str]) -> tuple[Row, list[Row]]:
    """(names of the columns, rows as wide) of a .csv file; a note if it is separated by something else than commas.

    Raises UserError for what is no table, and for one without names: its first text would be lost as one.
    """
    text = decode(path)
    separator = separator_of(text)
    names, *rows = table(path, text, separator) or [[]]
    known = column.name in names or {*column.usual, *PAIR} & set(names)
    strange = [name for name in names if not could_name(name)]
    if strange and not known:
        longest = " ".join(max(strange, key=len).split())
        shown = longest if len(longest) <= NAME_LETTERS else f"{longest[:NAME_LETTERS]} …"
        raise UserError(
            f"--data {path}: has no row of column names; its first row holds {shown}; put names above it, with "
            f"{column.usual[0]} for the texts (or, if these are names, give that of the texts with --text-column)"
        )
    if separator != ",":
        notes.append(f"{path}: read as separated by {SEPARATORS[separator]}")
    return names, rows


def table(path: Path, text: str, separator: str) -> list[Row]:
    """All rows, the names among them. An empty line is a blank text where there is one column, but not at the end."""
    remedy = "mend or remove it; texts that hold separators, quotes or line ends stand in quotes"
    try:
        rows = split(text, separator)
    except csv.Error as error:
        raise UserError(f"--data {path}: cannot be read as .csv ({error}); {remedy}") from error
    widths = [len(row) for row in rows]
    uneven = [number for number, width in enumerate(widths) if width != widths[0]]
    if uneven:
        raise UserError(
            f"--data {path}: cannot be read as .csv, separated by {SEPARATORS[separator]} (the first row has "
            f"{widths[0]} fields, row {uneven[0]} below it {widths[uneven[0]]}); {remedy}"
        )
    return rows


def separator_of(text: str) -> str:
    """The first that makes all rows equally wide, of several fields; else what the first row looks like; else ,."""
    several = [separator for separator in SEPARATORS if len(next(iter(tried(text, separator)), [])) > 1]
    even = [separator for separator in several if len(set(map(len, tried(text, separator)))) == 1]
    return [*even, *several, ","][0]


def tried(text: str, separator: str) -> list[Row]:
    """The rows with this separator; none where it cannot be."""
    try:
        return split(text, separator)
    except csv.Error:
        return []


def split(text: str, separator: str) -> list[Row]:
    """The rows with this separator. Raises csv.Error where quotes do not close, or close before a field ends."""
    csv.field_size_limit(2**31 - 1)  # else a long text is an error
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
    while rows and not rows[-1]:
        rows.pop()
    single = bool(rows) and max(map(len, rows)) == 1
    return [row or [""] for row in rows if row or single]


SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？", "．", "।", "॥", "؟", "۔", "။", "។")
"""In the scripts that have a mark of their own for it."""


def could_name(field: str) -> bool:
    """Whether this may be the name of a column: no sentence, no number, no date. An index has an empty one."""
    short = len(field) <= NAME_LETTERS and len(field.split()) <= NAME_WORDS and "\n" not in field
    return short and not field.endswith(SENTENCE_ENDS) and not is_value(field)


def holds_strings(fields: list[str]) -> bool:
    """Whether a column's fields are not all numbers, truth values or dates; empty ones do not count."""
    return any(field.strip() and not is_value(field) for field in fields)


def is_value(field: str) -> bool:
    """Whether a field is a number, a truth value or a date, and no text."""
    kinds: tuple[Callable[[str], Any], ...] = (float, datetime.fromisoformat)
    for kind in kinds:
        try:
            kind(field)
        except ValueError:
            continue
        return True
    return field.lower() in ("true", "false")
