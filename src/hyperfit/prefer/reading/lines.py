"""Judgements as JSON lines: what the app's export and the judges write."""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from hyperfit.errors import UserError
from hyperfit.numbers import COUNT
from hyperfit.prefer.judgement import Choice, Judgement

CHOICES = get_args(Choice)
NEEDED = ("judge", "item", "context", "first", "second", "choice")
PURPOSES = ("study", "gold", "repeat")
KINDS = ("", "person", "model", "likelihood")
MODELS = ("model", "likelihood")
"""Of ``kind``: the judgements of a model that was asked, and of one by log-likelihood."""
Row = Mapping[str, Any]


def read_jsonl(path: Path) -> list[tuple[Judgement, str]]:
    """(judgement, kind of model that made it, or "" for a person) of each line.

    Raises UserError with each kind of bad line: the first, by its number, and how many more.
    """
    try:
        written = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'is not UTF-8 text'})"
        ) from error
    found, problems = list[tuple[Judgement, str]](), Problems(path, "line")
    for number, line in enumerate(written, start=1):
        if line.strip():
            row = problems.row(number, line)
            told = dict(row_problems(row)) if row is not None else {"broken": ""}
            problems.add(number, told)
            if row is not None and not told:
                found.append((judgement_of(row), row["kind"] if row.get("kind") in MODELS else ""))
    problems.check(found)
    return found


class Problems:
    """What is wrong with a file, each kind told once with the first place and how many more there are."""

    def __init__(self, path: Path, unit: str) -> None:
        self.path, self.unit = path, unit
        self.first, self.count = dict[str, str](), Counter[str]()

    def add(self, number: int, told: Mapping[str, str]) -> None:
        """Problems of one line or row, by kind; an empty text is told already."""
        for kind, problem in told.items():
            if problem:
                self.first.setdefault(kind, f"{self.path}, {self.unit} {number}: {problem}")
                self.count[kind] += 1

    def row(self, number: int, line: str) -> dict[str, Any] | None:
        """What a JSON line holds; None, and a problem more, if it is no object."""
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
        except (ValueError, RecursionError) as error:
            self.add(number, {"json": f"cannot be read as JSON ({error}); mend or remove it"})
            return None
        if not isinstance(row, dict):
            self.add(number, {"object": "is not an object with named fields; mend or remove it"})
            return None
        return row

    def check(self, found: list[tuple[Judgement, str]]) -> None:
        """Raises UserError if there are problems, or nothing was found."""
        if self.first:
            more = {kind: f" ({COUNT(n - 1)} more like it)" if n > 1 else "" for kind, n in self.count.items()}
            raise UserError(*(f"{problem}{more[kind]}" for kind, problem in self.first.items()))
        if not found:
            raise UserError(f"{self.path}: holds no judgement; give a file with one a {self.unit}")


def row_problems(row: Row) -> Iterator[tuple[str, str]]:
    """(kind, what is wrong) of one judgement."""
    for name in NEEDED:
        value = row.get(name)
        if not isinstance(value, (str, int)) or isinstance(value, bool) or not str(value).strip():
            yield f"no {name}", f"has no {name}; add that field, or remove the judgement"
    if row.get("choice") is not None and row["choice"] not in CHOICES:
        yield "choice", f"choice is {shown(row['choice'])}; give one of {', '.join(CHOICES)}"
    if row.get("first") is not None and row.get("first") == row.get("second"):
        yield "same", f"first and second are both {shown(row['first'])}; a judgement is of two conditions"
    if row.get("purpose", "study") not in PURPOSES:
        yield "purpose", f"purpose is {shown(row['purpose'])}; give one of {', '.join(PURPOSES)}"
    if row.get("expected") is not None and row["expected"] not in CHOICES:
        yield "expected", f"expected is {shown(row['expected'])}; give one of {', '.join(CHOICES)}, or leave it out"
    if (row.get("kind") or "") not in KINDS:
        yield "kind", f"kind is {shown(row['kind'])}; give one of {', '.join(KINDS[1:])}, or leave it out"
    for name in ("tokens", "seconds"):
        value = row.get(name)
        if value is not None and not is_count(value):
            yield name, f"{name} is {shown(value)}; give a number of 0 or more, or leave it out"
    if not isinstance(row.get("swapped", False), bool):
        yield "swapped", f"swapped is {shown(row['swapped'])}; give true or false"
    questions = row.get("questions") or {}
    if not isinstance(questions, dict) or not all(answer in CHOICES for answer in questions.values()):
        yield "questions", f"questions is {shown(questions)}; give an object of {', '.join(CHOICES)} by question"


def is_count(value: Any) -> bool:
    """Whether a value is a number of 0 or more."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value) and value >= 0


def shown(value: Any) -> str:
    """The beginning of a value, as JSON."""
    return json.dumps(value, ensure_ascii=False, default=str)[:60]


def judgement_of(row: Row) -> Judgement:
    """The judgement that a good row holds."""
    seconds = row.get("seconds")
    return Judgement(
        judge=str(row["judge"]),
        item=str(row["item"]),
        context=str(row["context"]),
        domain=str(row.get("domain") or ""),
        tokens=int(row.get("tokens") or 0),
        first=str(row["first"]),
        second=str(row["second"]),
        choice=row["choice"],
        seconds=None if seconds is None else float(seconds),
        swapped=row.get("swapped", False),
        purpose=row.get("purpose", "study"),
        expected=row.get("expected"),
        questions=dict(row.get("questions") or {}),
        comment=str(row.get("comment") or ""),
        study=str(row.get("study") or ""),
    )
