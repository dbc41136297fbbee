"""Pictures in the rows of a .parquet file, or of a data set of the hub."""

from pathlib import Path
from typing import Any

from hyperfit.data.reading.hub import load_hub
from hyperfit.data.reading.parquet import check_size, chunks_of, leaves_of
from hyperfit.errors import UserError
from hyperfit.image.reading.found import Found

USUAL = ("image", "img", "picture")
ROWS, AT_ONCE = 256, 2**30
"""Read at once, and the bytes that these may take, unless one takes more."""


def read_parquet(path: Path, column: str | None, parts: dict[str, Found]) -> None:
    """Add a picture a row, numbered from 1. Raises UserError for a file that cannot be read or holds no pictures."""
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            about, frame = file.metadata, parts["train"].frame
            name = picture_column(str(path), file.schema_arrow, column)
            check_size(path, about.num_rows * 3 * frame.height * frame.width)
            row, at_once = 0, rows_at_once(about, name)
            for batch in file.iter_batches(batch_size=at_once, columns=[name]):
                for value in batch.column(0).to_pylist():
                    row += 1
                    parts["train"].add(encoded(value), f"{path}:{row}")
    except UserError:
        raise
    except Exception as error:  # pyarrow raises what it will at damage, also where values become Python's
        raise UserError(f"--data {path}: cannot be read as {path.suffix} ({error}); mend or remove it") from error


def rows_at_once(about: Any, name: str) -> int:
    """How many rows of a column, of a .parquet file with these metadata, are unpacked together.

    Each may be as large as all that is written of a group of rows: rows may name one that many share.
    """
    sizes: list[int] = [
        chunk.total_uncompressed_size for leaf in leaves_of(about, [name]) for chunk in chunks_of(about, leaf)
    ]
    return max(1, min(ROWS, AT_ONCE // max(1, *sizes)))


def read_hub(source: str, column: str | None, parts: dict[str, Found]) -> None:
    """Add a picture a row of a data set ORG/NAME[:CONFIG[:SPLIT]], numbered from 1; of its part train if none is named.

    Rows are read as they are stored, and not by the data set's own decoder, so that damaged ones can be named.
    """
    data = load_hub(source)
    name = picture_column(source, data.features.arrow_schema, column)
    stored = data.with_format("arrow")
    row = 0
    for table in stored.iter(batch_size=ROWS):
        for value in table.column(name).to_pylist():
            row += 1
            parts["train"].add(encoded(value), f"{source}:{row}")


def encoded(value: Any) -> bytes | None:
    """The file's bytes in a cell: the cell itself, or what a record of bytes and path holds; None if there are none."""
    found = value.get("bytes") if isinstance(value, dict) else value
    return bytes(found) if found else None


def picture_column(source: str, schema: Any, wanted: str | None) -> str:
    """The column to read: the one that is named, else one of the usual ones, else the only one of pictures."""
    held: list[str] = [field.name for field in schema if holds_bytes(field.type)]
    if wanted is not None and wanted in held:
        return wanted
    if wanted is None:
        if usual := [name for name in USUAL if name in held]:
            return usual[0]
        if len(held) == 1:
            return held[0]
    if wanted is not None:
        fault = "holds no pictures" if wanted in schema.names else "is not there"
        what = f"--image-column {wanted}: in {source} this column {fault}"
    elif held:
        what = f"--data {source}: several columns hold pictures ({', '.join(held)})"
    else:
        what = f"--data {source}: none of its columns holds pictures"
    raise UserError(
        f"{what}; name one of encoded pictures (bytes, or records of bytes and path) with --image-column. Its columns "
        f"are {', '.join(schema.names)}"
    )


def holds_bytes(kind: Any) -> bool:
    """Whether an Arrow type is one of bytes, or of records with a field ``bytes``, as data sets store images."""
    import pyarrow.types as types

    if types.is_struct(kind):
        kinds = {field.name: field.type for field in kind}
        return "bytes" in kinds and holds_bytes(kinds["bytes"])
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))
