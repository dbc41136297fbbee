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
from hyperfit.report.harmless import harmless
from hyperfit.report.texts.repetition import repeated_spans

LEAD = {"base/greedy": "Base, greedy", "hyperfitted/greedy": "Hyperfitted, greedy", "human": "Human"}
"""Conditions that stand first, and their headings; the others follow, by decoding, both models beside each other."""
TEXTS = ("context", "continuation")
"""What every line of samples/ holds."""
TERMINAL_STYLES = tuple(
    f"black on {colour}" for colour in ("#f6c9a8", "#b9d7f2", "#cfe3a9", "#e3c6ea", "#f4dc91", "#b5e0d6")
)


@dataclass(frozen=True)
class Example:
    """One context and its continuations by heading, each in the pieces of repeated_spans."""

    context: str
    source: str
    continuations: dict[str, list[tuple[str, int | None]]]


def examples(folder: Path, count: int | None = None) -> list[Example]:
    """The first contexts of each source in turn, ``count`` or all, with what was written under every condition."""
    files = {heading(name): rows for name, rows in by_condition(folder).items() if rows}
    by_source: dict[str, list[dict[str, dict[str, Any]]]] = defaultdict(list)
    for together in zip(*files.values(), strict=False):
        if len({row["context"] for row in together}) == 1:  # files of two evaluations can lie side by side
            by_source[together[0].get("source", "")].append(dict(zip(files, together, strict=True)))
    in_turn = [rows for turn in zip_longest(*by_source.values()) for rows in turn if rows]
    return [example(rows) for rows in in_turn[: None if count is None else max(count, 0)]]


def example(rows: dict[str, dict[str, Any]]) -> Example:
    """Samples of one context, by heading."""
    first = next(iter(rows.values()))
    continuations = {heading: repeated_spans(row["continuation"].strip()) for heading, row in rows.items()}
    return Example(first["context"].strip(), first.get("source", ""), continuations)


def by_condition(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Condition → its rows in samples/, the conditions of LEAD first; a file that does not say so is called by name."""
    found = {}
    for file in sorted((folder / "samples").glob("*.jsonl")):
        rows = samples(folder, file.stem)
        model, _, decoding = file.stem.partition("-")
        if rows:
            model, decoding = rows[0].get("model", model), rows[0].get("decoding", decoding)
        found[f"{model}/{decoding}" if decoding else model] = rows
    others = sorted(found.keys() - LEAD.keys(), key=lambda name: name.split("/")[::-1])
    order = [*(name for name in LEAD if name in found), *others]
    return {name: found[name] for name in order}


def heading(condition: str) -> str:
    """A condition for people: "Base, nucleus"."""
    model, _, decoding = condition.partition("/")
    return LEAD.get(condition) or f"{model[:1].upper()}{model[1:]}" + (f", {decoding}" if decoding else "")


def beginning(pieces: list[tuple[str, int | None]], most: int) -> list[tuple[str, int | None]]:
    """The pieces of a text up to ``most`` characters, with "…" behind the last whole word; all of a shorter text."""
    kept: list[tuple[str, int | None]] = []
    for piece, colour in pieces:
        if len(piece) > most:
            words = piece[: most + 1].rpartition(" ")[0] or (piece[:most] if not kept else "")
            return [*kept, (words, colour), (" …", None)] if words else [*kept, ("…", None)]
        kept.append((piece, colour))
        most -= len(piece)
    return kept


def samples(folder: Path, name: str) -> list[dict[str, Any]]:
    """The rows of FOLDER/samples/NAME.jsonl; none if there is no such file. Raises UserError if it is damaged."""
    file = folder / "samples" / f"{name}.jsonl"
    if not file.is_file():
        return []
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        if not all(isinstance(row, dict) and all(isinstance(row.get(key), str) for key in TEXTS) for row in rows):
            raise ValueError(f"a line is without {' or '.join(TEXTS)}")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); repeat hyperfit evaluate") from error
    return rows


@dataclass(frozen=True)
class Copy:
    """A text with the pieces of it that stand in the training data."""

    condition: str
    overlap: int
    """Tokens of its longest copied run."""
    pieces: list[tuple[str, int | None]]
    """Text, and the place in ``documents`` of what it is copied from, or None."""
    documents: list[tuple[str, str]]
    """(name, first words) of each training document: its file and, where it is of a table, its row."""
    context: str = ""
    """What the text follows; "" for evaluations that did not keep it."""


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
    first, *others = row["pieces"]
    return Copy(
        condition,
        row["overlap"],
        [
            (text, None if number is None else places[number])
            for text, number in ([first[0].lstrip(), first[1]], *others)
        ],
        [(document["name"], document["begins"]) for document in row["documents"].values()],
        row.get("context", ""),
    )


def terminal_copies(evaluation: Mapping[str, Any]) -> Text:
    """One line a condition: its longest copied run, and the training document that it stands in; "" without any."""
    lines = []
    for condition, group in groupby(copied(evaluation), key=lambda one: one.condition):
        longest = next(group)
        name, begins = longest.documents[longest_document(longest)]
        lines.append(f"Longest copy of {condition}: {longest.overlap} tokens of {name}, “{begins}”\n")
    return Text(harmless("".join(lines)))


def longest_document(one: Copy) -> int:
    """The place in ``documents`` of the longest marked piece, in characters."""
    return max((len(text), place) for text, place in one.pieces if place is not None)[1]


def terminal_texts(folder: Path, count: int) -> Group:
    """Contexts, and below each the greedy texts of both models side by side, repeated spans on colour."""
    return Group(*(terminal_example(one) for one in examples(folder, count)))


def terminal_example(one: Example) -> Table:
    """One context with its greedy continuations."""
    headings = [name for name in LEAD.values() if name in one.continuations and name != "Human"]
    table = Table(
        title=Text(harmless(f"{one.context} …"), "italic"),
        title_justify="left",
        box=None,
        pad_edge=False,
        padding=(0, 2, 1, 0),
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
    return Text.assemble(*((harmless(piece), style) for piece, style in styled))
