"""Text of any kind → documents: files, folders of files, hub data sets, the embedded texts."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.data.builtin import text_source
from hyperfit.errors import UserError, collecting


@dataclass(frozen=True)
class Document:
    """One text and where it came from, such as ``stories.jsonl:12``."""

    text: str
    origin: str


def read_documents(
    source: str, column: str | None = None, flag: str = "--data"
) -> tuple[list[Document], list[Document]]:
    """All documents of a source, in order, and those it sets apart as held out (often none).

    source: a .txt (one document), .jsonl, .csv or .parquet file (one document a row), a folder of
    such files, a hub data set ORG/NAME[:CONFIG[:SPLIT]], or builtin:NAME. A folder whose subfolders
    are ``train`` and ``heldout`` is taken as split that way. column: the text column of tables.
    Raises UserError naming the flag and every file that cannot be read, and why.
    """
    try:
        return _read(source, column)
    except UserError as error:
        raise UserError(*(problem.replace("--data ", f"{flag} ", 1) for problem in error.problems)) from error


def _read(source: str, column: str | None) -> tuple[list[Document], list[Document]]:
    path = Path(text_source(source))
    if (path / "train").is_dir() and (path / "heldout").is_dir():
        return _split_folder(path, column)
    if path.is_dir():
        return _folder(path, column), []
    if path.is_file():
        return _file(path, column), []
    if path.suffix in READERS or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise UserError(f"--data {source}: no such file or folder (seen from {Path.cwd()}); name another")
    return _hub(source, column), []


def _split_folder(folder: Path, column: str | None) -> tuple[list[Document], list[Document]]:
    problems: list[str] = []
    parts: dict[str, list[Document]] = {}
    for name in ("train", "heldout"):
        with collecting(problems):
            parts[name] = _folder(folder / name, column)
    if problems:
        raise UserError(*problems)
    return parts["train"], parts["heldout"]


def _folder(folder: Path, column: str | None) -> list[Document]:
    files = sorted(path for path in folder.rglob("*") if path.suffix in READERS and path.is_file())
    if not files:
        raise UserError(f"--data {folder}: no {', '.join(READERS)} file in this folder or below it; name another")
    problems: list[str] = []
    documents: list[Document] = []
    for path in files:
        with collecting(problems):
            documents += _file(path, column)
    if problems:
        raise UserError(*problems)
    return documents


def _file(path: Path, column: str | None) -> list[Document]:
    reader = READERS.get(path.suffix)
    if reader is None:
        ending = path.suffix or "a file with no ending"
        raise UserError(f"--data {path}: cannot read {ending}; give {', '.join(READERS)}")
    if path.stat().st_size == 0:
        raise UserError(f"--data {path}: the file is empty; remove it or name another")
    return _with_text(str(path), reader(path, column))


def _with_text(source: str, documents: list[Document]) -> list[Document]:
    kept = [document for document in documents if document.text.strip()]
    if not kept:
        raise UserError(f"--data {source}: holds no text; remove it or name another")
    return kept


def _txt(path: Path, column: str | None) -> list[Document]:
    return [Document(_decode(path), str(path))]


def _jsonl(path: Path, column: str | None) -> list[Document]:
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[str] = []
    for number, line in enumerate(_decode(path).split("\n"), start=1):
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
        more = f", and {len(broken) - 1} more like it" if len(broken) > 1 else ""
        raise UserError(f"--data {path}: {broken[0]}{more}; mend or remove it")
    if not rows:
        return []
    names = list(dict.fromkeys(name for row in rows for name in row))
    strings = [name for name in names if {type(row[name]) for row in rows if row.get(name) is not None} == {str}]
    chosen = _text_column(str(path), names, strings, column)
    return [Document(row.get(chosen) or "", f"{path}:{number}") for row, number in zip(rows, numbers, strict=True)]


def _csv(path: Path, column: str | None) -> list[Document]:
    import pyarrow as pa
    import pyarrow.csv

    _decode(path)  # for the clear message: Arrow reads bytes that are not UTF-8 as a binary column
    whole = pa.csv.ReadOptions(block_size=min(path.stat().st_size + 1, 2**31 - 1))  # else a long row is an error
    multiline = pa.csv.ParseOptions(newlines_in_values=True)
    return _table(path, column, lambda: pyarrow.csv.read_csv(path, read_options=whole, parse_options=multiline))


def _parquet(path: Path, column: str | None) -> list[Document]:
    import pyarrow.parquet

    return _table(path, column, lambda: pyarrow.parquet.read_table(path))


def _table(path: Path, column: str | None, read: Callable[[], Any]) -> list[Document]:
    import pyarrow as pa

    try:
        table = read()
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"--data {path}: cannot be read as {path.suffix} ({error}); mend or remove it") from error
    if not table.num_rows:
        return []
    strings = [field.name for field in table.schema if _holds_strings(field.type)]
    chosen = _text_column(str(path), table.column_names, strings, column)
    values = table.column(chosen).to_pylist()
    return [Document(value or "", f"{path}:{row}") for row, value in enumerate(values, start=1)]


def _holds_strings(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        kind = kind.value_type
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _hub(source: str, column: str | None) -> list[Document]:
    import datasets

    name, config, split = [*source.split(":", 2), "", ""][:3]
    try:
        data = datasets.load_dataset(name, config or None, split=split or "train")
    except Exception as error:  # the hub client raises dozens of unrelated kinds
        raise UserError(
            f"--data {source}: neither a file or folder here nor a hub data set that could be loaded as "
            f"ORG/NAME[:CONFIG[:SPLIT]] ({type(error).__name__}: {error}); name another"
        ) from error
    kinds = ("string", "large_string", "string_view")
    strings = [key for key, feature in data.features.items() if getattr(feature, "dtype", "") in kinds]
    chosen = _text_column(source, data.column_names, strings, column)
    documents = [Document(text or "", f"{source}:{row}") for row, text in enumerate(data[chosen], start=1)]
    return _with_text(source, documents)


def _text_column(source: str, names: list[str], strings: list[str], wanted: str | None) -> str:
    """The column to read: the one wanted, else "text", else the only one that holds strings."""
    listed = ", ".join(names)
    chosen = wanted or ("text" if "text" in strings or len(strings) != 1 else strings[0])
    flag = f"--text-column {wanted}: in {source} this column" if wanted else f"--data {source}: a column named text"
    if chosen in strings and names.count(chosen) == 1:
        return chosen
    if chosen not in names:
        reason = "is not there"
    else:
        reason = "does not hold strings" if chosen not in strings else "stands more than once"
    raise UserError(f"{flag} {reason}; name one that holds strings with --text-column. Its columns are {listed}")


def _decode(path: Path) -> str:
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").removeprefix("\ufeff")
    except OSError as error:
        raise UserError(f"--data {path}: cannot be read ({error.strerror}); change that or name another") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"--data {path}: not UTF-8 text (byte {error.start} is {error.object[error.start]:#04x}); convert it first"
        ) from error
    if "\0" in text:
        raise UserError(f"--data {path}: binary, not text (byte {raw.index(0)} is NUL); remove it or name another")
    return text


READERS: dict[str, Callable[[Path, str | None], list[Document]]] = {
    ".txt": _txt,
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""File endings that can be read, and what reads them."""
