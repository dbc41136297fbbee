"""Judgements from spreadsheets as annotators fill them in: one row a pair, one column an annotator."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.prefer.judgement import HUMAN, Choice, Judgement
from hyperfit.prefer.reading.lines import Problems, judgement_of
from hyperfit.prefer.reading.workbooks import workbook_rows

SPREADSHEETS = (".csv", ".tsv", ".xlsx")
COLUMNS = {
    "context": ("context", "contextid", "prompt"),
    "item": ("item", "itemid", "id"),
    "domain": ("domain", "source", "dataset"),
    "tokens": ("tokens", "length"),
    "first": ("a", "first", "conditiona", "modela", "condition", "model"),
    "second": ("b", "second", "conditionb", "modelb"),
    "annotator": ("annotator", "judge", "annotatorid"),
    "answer": ("answer", "choice", "preference"),
    "seconds": ("seconds", "time"),
    "purpose": ("purpose",),
    "expected": ("expected",),
    "comment": ("comment",),
    "swapped": ("swapped",),
    "study": ("study", "studyid"),
}
"""What a column holds → the headings it may have, without case, spaces and marks."""
ANNOTATOR = re.compile(r"(annotator|judge|rater|annotation)\d+")
"""The heading of the column of one annotator's answers."""
QUESTION = "question_"
"""How the heading of a further question begins, in what hyperfit prefer export writes."""
ANSWERS: dict[str, Choice] = {
    **dict.fromkeys(("a", "1", "first", "left"), "first"),
    **dict.fromkeys(("b", "2", "second", "right"), "second"),
    **dict.fromkeys(("equal", "equallygood", "tie", "both", "same", "0", "3", "none", "nopreference"), "equal"),
}
"""What an annotator may have written, without case, spaces and marks."""
OF_HUMAN = {"human": True, "original": True, "model": False, "generated": False}
"""The same, where one of the two is the human text: whether it is that one."""
TELL = (
    "give a row of headings with context, A and B (the conditions compared; without B: the original human text), and "
    "either one column an annotator, called annotator 1, annotator 2, ..., or the columns annotator and answer"
)


@dataclass(frozen=True)
class Layout:
    """Which column of a spreadsheet holds what."""

    places: Mapping[str, int]
    """What → its column."""
    annotators: Mapping[str, int]
    """Annotator → the column of the answers, where each has one."""
    questions: Mapping[str, int]
    """Further question → the column of its answers."""


def read_spreadsheet(path: Path) -> list[tuple[Judgement, str]]:
    """(judgement, "") of each answer; an empty cell is a pair that this annotator did not judge.

    An answer is A, B or equal, or the name of a condition (``ANSWERS`` lists what else is understood). Lengths are in
    tokens. Raises UserError with each kind of bad row: the first, by its number, and how many more.
    """
    rows = list(cells_of(path))
    if not rows:
        raise UserError(f"{path}: is empty; {TELL}")
    layout = layout_of(path, rows[0][1])
    found, problems = list[tuple[Judgement, str]](), Problems(path, "row")
    for number, row in rows[1:]:
        values = {what: row[place].strip() for what, place in layout.places.items() if place < len(row)}
        asked = {name: row[place].strip() for name, place in layout.questions.items() if place < len(row)}
        for annotator, written in answers_of(layout, row, values):
            told, plain = understood(values, annotator, written, asked)
            problems.add(number, told)
            if not told:
                found.append((judgement_of(plain), ""))
    problems.check(found)
    return found


def cells_of(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(number, its cells as text) of each row that is not empty. Raises UserError for what cannot be read."""
    try:
        rows = workbook_rows(path) if path.suffix.lower() == ".xlsx" else delimited_rows(path)
        yield from ((number, row) for number, row in enumerate(rows, start=1) if any(cell.strip() for cell in row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text in columns"
        raise UserError(f"{path}: cannot be read ({reason}); save it as CSV in UTF-8") from error


def delimited_rows(path: Path) -> Iterator[list[str]]:
    """Of a .csv or .tsv file; in the first a semicolon separates where the first line has more of them."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        beginning = file.readline()
        file.seek(0)
        semicolons = beginning.count(";") > beginning.count(",")
        yield from csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ";" if semicolons else ",")


def layout_of(path: Path, headings: Sequence[str]) -> Layout:
    """Where the columns are. Raises UserError for what is missing, or is there twice."""
    plain = [bare(heading) for heading in headings]
    places: dict[str, int] = {}
    problems = []
    for what, names in COLUMNS.items():
        known = [place for place, name in enumerate(plain) if name in names]
        if len(known) > 1:
            twice = " and ".join(headings[place] for place in known)
            problems.append(f"{path}: {twice} both are the {what} column; keep one of them")
        places |= {what: known[0]} if known else {}
    annotators = {headings[place].strip(): place for place, name in enumerate(plain) if ANNOTATOR.fullmatch(name)}
    missing = [what for what in ("context", "first") if what not in places]
    if not annotators and not {"annotator", "answer"} <= places.keys():
        missing.append("annotators' answers")
    if missing:
        problems.append(f"{path}: has no column for {', '.join(missing)}; {TELL}")
    if annotators and "answer" in places:
        problems.append(f"{path}: has both a column of answers and columns of annotators; keep one way")
    if problems:
        raise UserError(*problems)
    questions = {
        heading.strip()[len(QUESTION) :]: place
        for place, heading in enumerate(headings)
        if heading.strip().startswith(QUESTION) and not annotators
    }
    return Layout(places, annotators, questions)


def answers_of(layout: Layout, row: Sequence[str], values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(annotator, what is written) of each answer in a row."""
    if layout.annotators:
        for annotator, place in layout.annotators.items():
            if place < len(row) and row[place].strip():
                yield annotator, row[place].strip()
    elif values.get("answer"):
        yield values.get("annotator", ""), values["answer"]


def understood(
    values: Mapping[str, str], annotator: str, answer: str, asked: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, Any]]:
    """(what is wrong by kind, the fields of the judgement)."""
    first, second = values.get("first", ""), values.get("second", "") or HUMAN
    told = {}
    for name, value in (("context", values.get("context")), ("A", first), ("annotator", annotator)):
        if not value:
            told[name] = f"an answer without {name}; fill it in, or clear the answer"
    if first == second:
        told["same"] = f"A and B are both {first}; a judgement is of two conditions"
    choice, expected = (chosen(text, first, second) for text in (answer, values.get("expected", "")))
    if choice is None:
        told["answer"] = f"{annotator} answered {answer!r}; write A, B or equal, or clear the cell"
    questions = {name: chosen(text, first, second) for name, text in asked.items() if text}
    for name, one in questions.items():
        if one is None:
            told[name] = f"{QUESTION}{name} is {asked[name]!r}; write A, B or equal, or clear the cell"
    numbers: dict[str, float | None] = {}
    for name in ("tokens", "seconds"):
        try:
            numbers[name] = float(values[name]) if values.get(name) else None
        except ValueError:
            told[name] = f"{name} is {values[name]!r}; give a number, or clear the cell"
    purpose = values.get("purpose", "").lower() or "study"
    if purpose not in ("study", "gold", "repeat"):
        told["purpose"] = f"purpose is {purpose!r}; give study, gold or repeat, or clear the cell"
    context = values.get("context", "")
    return told, {
        **values,
        **numbers,
        "judge": annotator,
        "item": values.get("item") or " | ".join((context, *sorted((first, second)), values.get("tokens", ""))),
        "first": first,
        "second": second,
        "choice": choice,
        "questions": questions,
        "expected": expected,
        "purpose": purpose,
        "swapped": values.get("swapped", "").lower() in ("true", "1", "yes"),
    }


def chosen(answer: str, first: str, second: str) -> Choice | None:
    """What an answer says: a condition's own name, or one of ANSWERS; None for anything else."""
    if answer in (first, second):
        return "first" if answer == first else "second"
    plain = "equal" if answer.strip() == "=" else bare(answer)
    if plain in OF_HUMAN:
        return None if HUMAN not in (first, second) else "first" if (first == HUMAN) == OF_HUMAN[plain] else "second"
    return ANSWERS.get(plain)


def bare(text: str) -> str:
    """Letters and digits, without case."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
