"""Columns of .parquet files, of which a few kilobytes can stand for more than any memory holds: what they unpack to is
known before they are unpacked.

What a value takes is declared in the footer, but for a value that stands for many: rows may say by its number in a
dictionary what they hold, or by what it shares with the one before (DELTA_BYTE_ARRAY).
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.numbers import figures

MOST_BYTES = 16 * 2**30
"""Of the columns that are read of a file, unpacked."""
AT_ONCE = 2**28
"""Bytes of a column that are unpacked together at most, before they are counted, unless a single value takes more."""
MOST_ROWS = 2**16
"""Of those that are unpacked together."""
VALUE = 256
"""Bytes that a value takes in memory at least, with what is kept of its row."""
DICTIONARIES, SHARED = {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}, "DELTA_BYTE_ARRAY"
"""Encodings by which few bytes may stand for many."""


def read_columns(path: Path, about: Any, names: Sequence[str]) -> list[tuple[Any, ...]]:
    """The rows of some columns, as Python's values.

    about: the file's metadata. Raises UserError for what would unpack to too much, and whatever pyarrow raises at
    damage.
    """
    import pyarrow.parquet

    check_declared(path, about, names)
    by_number = [leaf for leaf in leaves_of(about, names) if DICTIONARIES & encodings_of(about, leaf)]
    paths = [about.schema.column(leaf).path for leaf in by_number]
    rows, size = list[tuple[Any, ...]](), 0
    with pyarrow.parquet.ParquetFile(path, read_dictionary=paths) as file:
        for batch in file.iter_batches(batch_size=rows_at_once(about, names), columns=list(names)):
            columns = [batch.column(name) for name in names]
            size += sum(map(unpacked, columns))
            check_size(path, size)
            rows += zip(*(column.to_pylist() for column in columns), strict=True)
    return rows


def rows_at_once(about: Any, names: Sequence[str]) -> int:
    """How many rows are unpacked together: few, where each may be as long as all that is written of its group."""
    leaves = leaves_of(about, names)
    shared = [one for leaf in leaves for one in chunks_of(about, leaf) if SHARED in one.encodings]
    return max(1, min(MOST_ROWS, AT_ONCE // max((one.total_uncompressed_size for one in shared), default=1)))


def check_declared(path: Path, about: Any, names: Sequence[str]) -> None:
    """Raises UserError where the columns unpack to too much, as far as the footer tells, or may do so."""
    size = 0
    for leaf in leaves_of(about, names):
        width = max(VALUE, about.schema.column(leaf).length or 0)
        for chunk in chunks_of(about, leaf):
            size += chunk.total_uncompressed_size + chunk.num_values * width
    check_size(path, size)


def check_size(path: Path, size: int) -> None:
    """Raises UserError for a file of which so many bytes are too much."""
    if size > MOST_BYTES:
        raise UserError(
            f"--data {path}: unpacks to more than {figures(MOST_BYTES / 2**30, 3)} GiB, or may do so; give a part of "
            "it, in a file of its own"
        )


def leaves_of(about: Any, names: Sequence[str]) -> list[int]:
    """Which of the columns in the file, of which a column of lists or records takes several, belong to some columns."""
    paths = [about.schema.column(leaf).path for leaf in range(about.num_columns)]
    return [n for n, path in enumerate(paths) if any(path == name or path.startswith(f"{name}.") for name in names)]


def chunks_of(about: Any, leaf: int) -> Iterator[Any]:
    """What the footer says of a column in the file, for each group of rows."""
    return (about.row_group(group).column(leaf) for group in range(about.num_row_groups))


def encodings_of(about: Any, leaf: int) -> set[str]:
    """How the values of a column in the file are written."""
    return {encoding for chunk in chunks_of(about, leaf) for encoding in chunk.encodings}


def unpacked(array: Any) -> int:
    """Bytes that an Arrow array takes once its dictionaries are written out."""
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute  # whose functions are made at import, unseen by type checkers
    if isinstance(array, pa.DictionaryArray):
        lengths = pc.binary_length(array.dictionary).cast(pa.int64())
        return pc.sum(pc.take(lengths, array.indices)).as_py() or 0
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return unpacked(array.flatten())
    if isinstance(array, pa.StructArray):
        return sum(unpacked(array.field(place)) for place in range(array.type.num_fields))
    return int(array.nbytes)
