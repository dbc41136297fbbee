"""Tables of texts or chats: .jsonl, .csv, .parquet and data sets of the hub → one document a row."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from hyperfit.data.reading.columns import PAIR, TextColumn
from hyperfit.data.reading.decode import decode
from hyperfit.data.reading.delimited import holds_strings, read_delimited
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.hub import load_hub
from hyperfit.data.reading.messages import has_message, is_chat, messages_of
from hyperfit.data.reading.parquet import read_columns
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
    held = [[row.get(name) for name in chosen] for row in rows]
    return documents_of(str(path), chosen, held, numbers, chats=set(chosen) <= set(chats), called="line")


def documents_of(
    source: str,
    names: Sequence[str],
    rows: Sequence[Sequence[Any]],
    numbers: Iterable[int],
    *,
    chats: bool,
    called: str = "row",
) -> list[Document]:
    """A document a row of some columns, of texts or of chats. Raises UserError that names the first row of neither.

    numbers: of the rows. called: what people call a row.
    """
    documents, strange = list[Document](), list[str]()
    for held, number in zip(rows, numbers, strict=False):
        origin = f"{source}:{number}"
        try:
            documents.append(chat_of(held, origin) if chats else text_of(names, held, origin))
        except ValueError as problem:
            strange.append(f"{called} {number}: {problem}")
    if strange:
        remedy = "mend" if chats else "write it in quotes,"
        raise UserError(f"--data {source}, {strange[0]}{more(strange)}; {remedy} or remove the {called}")
    return documents


def text_of(names: Sequence[str], held: Sequence[Any], origin: str) -> Document:
    """The text of a row, or its prompt and completion; empty where it has none. Raises ValueError for no string."""
    for name, value in zip(names, held, strict=True):
        if not isinstance(value, str | None):
            raise ValueError(f"{name} is {json.dumps(value, ensure_ascii=False)[:40]}, not a string")
    *prompt, text = (value or "" for value in held)
    given = "".join(prompt)
    whole = given + text if text.strip() else ""
    return Document(whole, origin, given=len(given) if prompt else None)


def chat_of(held: Sequence[Any], origin: str) -> Document:
    """The chat of a row, or of its prompt and completion. Raises ValueError for what is none."""
    *prompt, rest = map(messages_of, held)
    given = sum(prompt, ())
    return Document.of_chat((*given, *rest), origin, len(given))


def more(problems: list[str]) -> str:
    """What is said of all problems but the first."""
    return f", and {COUNT(len(problems) - 1)} more like it" if len(problems) > 1 else ""


def read_csv(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """A document a row, numbered from 1 below the names."""
    names, rows = read_delimited(path, column, notes)
    if not rows:
        return []
    fields = [list(found) for found in zip(*rows, strict=True)]
    meant = PAIR if set(PAIR) <= set(names) else ()  # a number may complete a prompt
    strings = [name for name, found in zip(names, fields, strict=True) if name in meant or holds_strings(found)]
    chosen = column.of(str(path), names, strings)
    held = list(zip(*(fields[names.index(name)] for name in chosen), strict=True))
    return documents_of(str(path), chosen, held, count(1), chats=False)


def read_parquet(path: Path, column: TextColumn, notes: list[str]) -> list[Document]:
    """A document a row, numbered from 1."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            about, schema = file.metadata, file.schema_arrow
        if not about.num_rows:
            return []
        chosen, chats = arrow_columns(str(path), schema, column)
        held = read_columns(path, about, chosen)
    except UserError:
        raise
    except Exception as error:  # pyarrow raises what it will at damage, also where values become Python's
        raise UserError(f"--data {path}: cannot be read as {path.suffix} ({error}); mend or remove it") from error
    return documents_of(str(path), chosen, held, count(1), chats=chats)


def read_hub(source: str, column: TextColumn) -> list[Document]:
    """A document a row of a data set ORG/NAME[:CONFIG[:SPLIT]], numbered from 1; of its part train if none is named."""
    data = load_hub(source)
    chosen, chats = arrow_columns(source, data.features.arrow_schema, column)
    held = list(zip(*(list(data[name]) for name in chosen), strict=True))
    return documents_of(source, chosen, held, count(1), chats=chats)


def arrow_columns(source: str, schema: Any, column: TextColumn) -> tuple[tuple[str, ...], bool]:
    """The columns to read of a table with an Arrow schema, and whether they hold chats."""
    strings = [field.name for field in schema if is_string(field.type)]
    chats = [field.name for field in schema if has_message(fields_within(field.type))]
    chosen = column.of(source, schema.names, strings, chats)
    return chosen, set(chosen) <= set(chats)


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
