"""Tables of texts: .jsonl, .csv, .parquet and data sets of the hub → one document a row."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hyperfit.data.reading.columns import CHATS, TextColumn
from hyperfit.data.reading.decode import decode
from hyperfit.data.reading.delimited import holds_strings, read_delimited
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.hub import load_hub
from hyperfit.errors import UserError
from hyperfit.numbers import COUNT


def read_txt(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """The whole file as one document."""
    return [Document(decode(path), str(path))]


def read_jsonl(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """A document a line; the text of a row that has none is empty."""
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[str] = []
    for number, line in enumerate(decode(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            json.dumps(row, ensure_ascii=False).encode()  # half a surrogate pair is JSON, but not text
        except (ValueError, RecursionError) as error:
            broken.append(f"line {number} cannot be read as JSON ({error})")
            continue
        if isinstance(row, dict):
            rows.append(row)
            numbers.append(number)
        else:
            broken.append(f"line {number} is not an object with named fields")
    if broken:
        raise UserError(f"--data {path}: {broken[0]}{more(broken)}; mend or remove it")
    if not rows:
        return []
    values = {
        name: [row[name] for row in rows if row.get(name) is not None]
        for name in dict.fromkeys(name for row in rows for name in row)
    }
    whole = [name for name, found in values.items() if found and all(isinstance(value, str) for value in found)]
    partly = [name for name, found in values.items() if any(isinstance(value, str) for value in found)]
    meant = [name for name in partly if name in whole or not whole or name in (column.name, *column.usual)]
    chats = [name for name, found in values.items() if any(map(is_chat, found))]
    chosen = column.of(str(path), list(values), meant, chats)
    strange = [
        f"line {number}: {chosen} is {json.dumps(row[chosen], ensure_ascii=False)[:40]}, not a string"
        for row, number in zip(rows, numbers, strict=True)
        if not isinstance(row.get(chosen), str | None)
    ]
    if strange:
        raise UserError(f"--data {path}, {strange[0]}{more(strange)}; write it in quotes, or remove the line")
    return [Document(row.get(chosen) or "", f"{path}:{number}") for row, number in zip(rows, numbers, strict=True)]


def more(problems: list[str]) -> str:
    """What is said of all problems but the first."""
    return f", and {COUNT(len(problems) - 1)} more like it" if len(problems) > 1 else ""


def is_chat(value: Any) -> bool:
    """Whether a value is a list of messages."""
    return isinstance(value, list) and any(isinstance(one, dict) and has_message(set(one)) for one in value)


def has_message(fields: set[str]) -> bool:
    """Whether these are the fields of a message."""
    return any(message <= fields for message in CHATS)


def read_csv(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """A document a row, numbered from 1 below the names."""
    names, rows = read_delimited(path, column, notes)
    if not rows:
        return []
    fields = [list(found) for found in zip(*rows, strict=True)]
    strings = [name for name, found in zip(names, fields, strict=True) if holds_strings(found)]
    chosen = column.of(str(path), names, strings)
    return [Document(text, f"{path}:{row}") for row, text in enumerate(fields[names.index(chosen)], start=1)]


def read_parquet(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """A document a row, numbered from 1."""
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
        if not table.num_rows:
            return []
        chosen = arrow_column(str(path), table.schema, column)
        values = table.column(chosen).to_pylist()
    except UserError:
        raise
    except Exception as error:  # pyarrow raises what it will at damage, also where values become Python's
        raise UserError(f"--data {path}: cannot be read as {path.suffix} ({error}); mend or remove it") from error
    return [Document(value or "", f"{path}:{row}") for row, value in enumerate(values, start=1)]


def read_hub(source: str, column: TextColumn) -> list[Document]:
    """A document a row of a data set ORG/NAME[:CONFIG[:SPLIT]], numbered from 1; of its part train if none is named."""
    data = load_hub(source)
    chosen = arrow_column(source, data.features.arrow_schema, column)
    return [Document(text or "", f"{source}:{row}") for row, text in enumerate(data[chosen], start=1)]


def arrow_column(source: str, schema: Any, column: TextColumn) -> str:
    """The column to read of a table with an Arrow schema."""
    strings = [field.name for field in schema if is_string(field.type)]
    chats = [field.name for field in schema if has_message(fields_within(field.type))]
    return column.of(source, schema.names, strings, chats)


def is_string(kind: Any) -> bool:
    """Whether an Arrow type is one of strings."""
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def fields_within(kind: Any) -> set[str]:
    """Names of the fields of an Arrow type of records, or of lists of them."""
    import pyarrow.types as types

    if types.is_list(kind) or types.is_large_list(kind):
        kind = kind.value_type
    return {field.name for field in kind} if types.is_struct(kind) else set()


READERS: dict[str, Callable[[Path, TextColumn, list[str]], list[Document]]] = {
    ".txt": read_txt,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
}
"""File endings that can be read, and what reads them: all rows, and notes of what people should know of how."""
