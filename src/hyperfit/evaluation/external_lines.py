"""A file of texts from elsewhere: its lines, and the conditions they belong to."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.numbers import COUNT

COLUMNS = ("context", "continuation", "reference", "model", "decoding")
"""What a line may hold; other fields are left unread."""
HUMAN = "human"


@dataclass(frozen=True)
class Line:
    """One generated text."""

    context: str
    continuation: str
    reference: str | None
    """What a human wrote after the same context."""
    condition: str
    """MODEL/DECODING, or what of the two the line names; else "texts"."""
    source: str = ""
    """Where its context is from, if the line tells."""


def read_lines(path: Path) -> list[Line]:
    """The texts of a file. Raises UserError with each kind of bad line: the first, by its number, and how many more."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"--texts {path}: cannot be read ({reason}); give a .jsonl file") from error
    lines, first, count = list[Line](), dict[str, str](), Counter[str]()
    for number, written in enumerate(content.split("\n"), start=1):
        if written.strip():
            row, problems = read_row(written)
            for kind, problem in problems.items():
                first.setdefault(kind, f"--texts {path}, line {number}: {problem}")
                count[kind] += 1
            if not problems:
                lines.append(line_of(row))
    if first:
        more = {kind: f" ({COUNT(count[kind] - 1)} more like it)" if count[kind] > 1 else "" for kind in first}
        raise UserError(*(f"{problem}{more[kind]}" for kind, problem in first.items()))
    if not lines:
        raise UserError(f"--texts {path}: holds no line; give one object a line with the field continuation")
    return lines


def read_row(written: str) -> tuple[dict[str, Any], dict[str, str]]:
    """(what a line holds, all that is wrong with it by kind of problem)."""
    try:
        row = json.loads(written)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
    except (ValueError, RecursionError) as error:
        return {}, {"broken": f"cannot be read as JSON ({error}); mend or remove it"}
    if not isinstance(row, dict):
        return {}, {"no object": "is not an object with named fields; mend or remove it"}
    problems = {
        f"{name} no text": f"{name} is {json.dumps(row[name], ensure_ascii=False)[:40]}, not text; write it in quotes"
        for name in COLUMNS
        if row.get(name) is not None and not isinstance(row[name], str)
    }
    if row.get("continuation") is None:
        problems["no continuation"] = "has no continuation; add that field, or remove the line"
    for name in ("model", "decoding"):
        if isinstance(row.get(name), str) and not row[name].isprintable():
            problems[f"{name} odd"] = f"{name} holds characters that cannot be shown; write its name in letters"
    return row, problems


def line_of(row: dict[str, Any]) -> Line:
    """The text that a good line holds."""
    condition = "/".join(row[name] for name in ("model", "decoding") if row.get(name))
    source = row.get("source")
    return Line(
        row.get("context") or "",
        row["continuation"],
        row.get("reference"),
        condition or "texts",
        source if isinstance(source, str) else "",
    )


def by_condition(lines: Sequence[Line]) -> dict[str, list[tuple[str, str]]]:
    """Condition → (context, text) of its lines; last the references, each once, and lines whose model is "human"."""
    found: dict[str, list[tuple[str, str]]] = {line.condition: [] for line in lines}
    for line in lines:
        found[line.condition].append((line.context, line.continuation))
    references = dict.fromkeys(found.pop(HUMAN, [])) | dict.fromkeys(
        (line.context, line.reference) for line in lines if line.reference is not None
    )
    return found | ({HUMAN: [(context, text) for context, text in references]} if references else {})


def own_references(lines: Sequence[Line], condition: str) -> list[str]:
    """The reference of each text of a condition; none unless all have one, and no two the same one."""
    found = [(line.context, line.reference) for line in lines if line.condition == condition]
    texts = [reference for _, reference in found if reference is not None]
    return texts if len(texts) == len(set(found)) == len(found) else []


def with_context(strings: Mapping[str, Sequence[tuple[str, str]]]) -> dict[str, list[tuple[str, str]]]:
    """Condition → (context, text) of those that have a context."""
    return {name: [pair for pair in rows if pair[0]] for name, rows in strings.items()}
