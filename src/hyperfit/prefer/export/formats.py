"""The formats by name."""

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from hyperfit.prefer.export.tasks import argilla_records, label_studio_tasks
from hyperfit.prefer.store.judgements import rows_to_export
from hyperfit.prefer.store.study import OpenStudy

TEXTS = ("context_text", "first_text", "second_text")
"""What a table leaves to the other formats."""
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""How a cell begins that a spreadsheet would compute."""


@dataclass(frozen=True)
class Format:
    """A kind of file."""

    file_name: str
    media_type: str
    about: str
    write: Callable[[OpenStudy], Iterator[str]]
    """The parts of the file."""


def exported(study: OpenStudy, name: str) -> str:
    """A study's answers in one of FORMATS."""
    return "".join(FORMATS[name].write(study))


def as_jsonl(study: OpenStudy) -> Iterator[str]:
    """One answer a line, with everything that reanalysis needs."""
    for row in rows_to_export(study):
        yield json.dumps(row, ensure_ascii=False) + "\n"


def as_csv(study: OpenStudy) -> Iterator[str]:
    """One answer a row; further questions in columns of their own, texts left out."""
    asked = [f"question_{name}" for name in study.settings.questions]
    rows = (
        {**row, **{f"question_{name}": choice for name, choice in row["questions"].items()}}
        for row in rows_to_export(study)
    )
    table = io.StringIO()
    writer: csv.DictWriter[str] | None = None
    for row in rows:
        if writer is None:
            plain = [name for name in row if name not in (*TEXTS, "questions", "comment", *asked)]
            writer = csv.DictWriter(table, [*plain, *asked, "comment"], extrasaction="ignore", lineterminator="\n")
            writer.writeheader()
        writer.writerow({name: safe_cell(value) for name, value in row.items()})
    yield table.getvalue()


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: behind an apostrophe where it begins like one."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def as_json(rows: list[dict[str, Any]]) -> Iterator[str]:
    """One JSON list."""
    yield json.dumps(rows, ensure_ascii=False, indent=1) + "\n"


FORMATS = {
    "jsonl": Format("judgements.jsonl", "application/jsonl; charset=utf-8", "everything, one answer a line", as_jsonl),
    "csv": Format("judgements.csv", "text/csv; charset=utf-8", "one answer a row, without the texts", as_csv),
    "argilla": Format(
        "argilla.json",
        "application/json",
        "pairs with the majority's answer, for Argilla",
        lambda study: as_json(argilla_records(study)),
    ),
    "label-studio": Format(
        "label-studio.json",
        "application/json",
        "pairs with all answers, for Label Studio",
        lambda study: as_json(label_studio_tasks(study)),
    ),
}
