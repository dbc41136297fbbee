"""What base model, hyperfitted model and human wrote after the same contexts."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hyperfit.errors import UserError
from hyperfit.report.texts.repetition import repeated_spans

SHOWN = {"base-greedy": "Base, greedy", "hyperfitted-greedy": "Hyperfitted, greedy", "human": "Human"}
"""Files in samples/ that are set side by side, and their headings."""
TERMINAL_STYLES = tuple(
    f"black on {colour}" for colour in ("#f6c9a8", "#b9d7f2", "#cfe3a9", "#e3c6ea", "#f4dc91", "#b5e0d6")
)

HARMLESS = dict.fromkeys((*range(9), *range(11, 32), *range(127, 160)))
"""Takes the control characters out of a text for the terminal."""


@dataclass(frozen=True)
class Example:
    """One context and its continuations by heading, each in the pieces of repeated_spans."""

    context: str
    source: str
    continuations: dict[str, list[tuple[str, int | None]]]


def examples(folder: Path, count: int) -> list[Example]:
    """The first contexts of each source in turn, ``count`` in all; fewer, or none, if no more were continued."""
    files = {heading: rows for name, heading in SHOWN.items() if (rows := samples(folder, name))}
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


def samples(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of FOLDER/samples/NAME.jsonl; none if there is no such file. Raises UserError if it is damaged."""
    file = folder / "samples" / f"{name}.jsonl"
    if not file.is_file():
        return []
    try:
        return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    except ValueError as error:
        raise UserError(f"{file}: cannot be read ({error}); repeat hyperfit evaluate") from error


@dataclass(frozen=True)
class Copy:
    """A text with the pieces of it that stand in the training data."""

    condition: str
    overlap: int
    """Tokens of its longest copied run."""
    pieces: list[tuple[str, int | None]]
    """Text, and the place in ``documents`` of what it is copied from, or None."""
    documents: list[tuple[str, str]]
    """(name, first words) of each training document."""


def copied(evaluation: Mapping[str, Any]) -> list[Copy]:
    """The texts that an evaluation has kept for their copies, those of hyperfitted models alone if there are any."""
    kept = evaluation.get("copies", {})
    hyperfitted = [name for name in kept if name.startswith("hyperfitted/")]
    return [
        one_copy(name, row) for name in hyperfitted or [name for name in kept if name != "human"] for row in kept[name]
    ]


def one_copy(condition: str, row: Mapping[str, Any]) -> Copy:
    """One entry of ``copies`` in evaluation.json."""
    places = {int(number): place for place, number in enumerate(row["documents"])}
    return Copy(
        condition,
        row["overlap"],
        [(text, None if number is None else places[number]) for text, number in row["pieces"]],
        [(document["name"], document["begins"]) for document in row["documents"].values()],
    )


def terminal_copies(evaluation: Mapping[str, Any]) -> Text:
    """One line a condition: its longest copied run, and the training document that it stands in; "" without any."""
    lines = []
    for condition, group in groupby(copied(evaluation), key=lambda one: one.condition):
        longest = next(group)
        name, begins = longest.documents[longest_document(longest)]
        lines.append(f"Longest copy of {condition}: {longest.overlap} tokens of {name}, “{begins}”\n")
    return Text("".join(lines).translate(HARMLESS))


def longest_document(one: Copy) -> int:
    """The place in ``documents`` of the longest marked piece, in characters."""
    return max((len(text), place) for text, place in one.pieces if place is not None)[1]


def terminal_texts(folder: Path, count: int) -> Group:
    """Contexts, and below each the greedy texts of both models side by side, repeated spans on colour."""
    return Group(*(terminal_example(one) for one in examples(folder, count)))


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
    styled = [
        (piece, "" if colour is None else TERMINAL_STYLES[colour % len(TERMINAL_STYLES)]) for piece, colour in pieces
    ]
    return Text.assemble(*((piece.translate(HARMLESS), style) for piece, style in styled))
