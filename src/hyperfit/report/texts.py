"""What base model, hyperfitted model and human wrote after the same contexts."""

import json
from collections import defaultdict
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hyperfit.errors import UserError
from hyperfit.report.repetition import repeated_spans
from hyperfit.rundir import RunDir

SHOWN = {"base-greedy": "Base, greedy", "hyperfitted-greedy": "Hyperfitted, greedy", "human": "Human"}
"""Files in samples/ that are set side by side, and their headings."""
TERMINAL_STYLES = tuple(
    f"black on {colour}" for colour in ("#f6c9a8", "#b9d7f2", "#cfe3a9", "#e3c6ea", "#f4dc91", "#b5e0d6")
)


@dataclass(frozen=True)
class Example:
    """One context and its continuations by heading, each in the pieces of repeated_spans."""

    context: str
    source: str
    continuations: dict[str, list[tuple[str, int | None]]]


def examples(run: RunDir, count: int) -> list[Example]:
    """The first contexts of each source in turn, ``count`` in all; fewer, or none, if no more were continued."""
    files = {heading: rows for name, heading in SHOWN.items() if (rows := samples(run, name))}
    by_source: dict[str, list[dict[str, dict[str, Any]]]] = defaultdict(list)
    for together in zip(*files.values(), strict=False):
        if len({row["context"] for row in together}) == 1:  # files of two evaluations can lie side by side
            by_source[together[0].get("source", "")].append(dict(zip(files, together, strict=True)))
    in_turn = [rows for turn in zip_longest(*by_source.values()) for rows in turn if rows]
    return [example(rows) for rows in in_turn[: max(count, 0)]]


def example(rows: dict[str, dict[str, Any]]) -> Example:
    """Samples of one context, by heading."""
    first = next(iter(rows.values()))
    continuations = {heading: repeated_spans(row["continuation"].strip()) for heading, row in rows.items()}
    return Example(first["context"].strip(), first.get("source", ""), continuations)


def samples(run: RunDir, name: str) -> list[dict[str, Any]]:
    """The rows of samples/NAME.jsonl; none if there is no such file. Raises UserError if it is damaged."""
    file = run.path / "samples" / f"{name}.jsonl"
    if not file.is_file():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise UserError(f"{file}: cannot be read ({error}); repeat hyperfit evaluate {run.path}") from error


def terminal_texts(run: RunDir, count: int) -> Group:
    """Contexts, and below each the greedy texts of both models side by side, repeated spans on colour."""
    return Group(*(terminal_example(one) for one in examples(run, count)))


def terminal_example(one: Example) -> Table:
    """One context with its greedy continuations."""
    headings = [heading for heading in one.continuations if heading != "Human"]
    table = Table(
        title=Text(f"{one.context} …", "italic"), title_justify="left", box=None, pad_edge=False, padding=(0, 2, 1, 0)
    )
    for heading in headings:
        table.add_column(heading, ratio=1)
    table.add_row(*(painted(one.continuations[heading]) for heading in headings))
    return table


def painted(pieces: list[tuple[str, int | None]]) -> Text:
    """Pieces as text for the terminal; its control characters do not reach it."""
    harmless = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)))
    styled = [
        (piece, "" if colour is None else TERMINAL_STYLES[colour % len(TERMINAL_STYLES)]) for piece, colour in pieces
    ]
    return Text.assemble(*((piece.translate(harmless), style) for piece, style in styled))
