"""A file of texts from elsewhere: its lines, and the conditions they belong to."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError, collecting

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


def read_lines(path: Path) -> list[Line]:
    """The texts of a file. Raises UserError with each bad line, by its number."""
    try:
        content = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8 text"
        raise UserError(f"--texts {path}: cannot be read ({reason}); give a .jsonl file") from error
    lines, problems = list[Line](), list[str]()
    for number, written in enumerate(content.split("\n"), start=1):
        if written.strip():
            with collecting(problems):
                lines.append(read_line(written, f"--texts {path}, line {number}"))
    if not lines and not problems:
        problems.append(f"--texts {path}: holds no line; give one object a line with the field continuation")
    if problems:
        raise UserError(*problems)
    return lines


def read_line(written: str, where: str) -> Line:
    """One line. Raises UserError with all that is wrong with it, ``where`` in front."""
    try:
        row = json.loads(written)
        json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: cannot be read as JSON ({error}); mend or remove it") from error
    if not isinstance(row, dict):
        raise UserError(f"{where}: is not an object with named fields; mend or remove it")
    problems = [
        f"{where}: {name} is {json.dumps(row[name], ensure_ascii=False)[:40]}, not text; write it in quotes"
        for name in COLUMNS
        if row.get(name) is not None and not isinstance(row[name], str)
    ]
    if row.get("continuation") is None:
        problems.append(f"{where}: has no continuation; add that field, or remove the line")
    condition = "/".join(row[name] for name in ("model", "decoding") if isinstance(row.get(name), str) and row[name])
    problems += [
        f"{where}: {name} holds characters that cannot be shown; write its name in letters"
        for name in ("model", "decoding")
        if isinstance(row.get(name), str) and not row[name].isprintable()
    ]
    if problems:
        raise UserError(*problems)
    return Line(row.get("context") or "", row["continuation"], row.get("reference"), condition or "texts")


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
