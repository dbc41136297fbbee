"""The cells of .xlsx files, which are archives: a few kilobytes can stand for more than any memory holds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hyperfit.data.reading.archives import unpacked_size
from hyperfit.errors import UserError, first_line, pip_install
from hyperfit.numbers import figures

MOST_BYTES = 2**28
"""Of all that is in the archive, unpacked: of judgements it would be some million."""
MOST_CELLS = 10_000_000
"""Of a sheet, with the empty ones before a row's last: a cell says by itself where it stands."""


def workbook_rows(path: Path) -> Iterator[list[str]]:
    """Of the first sheet of an .xlsx file; whole numbers without a point.

    Raises UserError for what is no workbook, and for one that is too large.
    """
    try:
        from openpyxl import load_workbook
    except ImportError as error:
        raise UserError(f"{path}: needs openpyxl; {pip_install('openpyxl')}, or save it as CSV") from error
    try:
        if unpacked_size(path) > MOST_BYTES:
            raise UserError(
                f"{path}: unpacks to more than {figures(MOST_BYTES / 2**20, 3)} MiB; save its first sheet as CSV"
            )
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            if not book.worksheets:
                raise UserError(f"{path}: is a workbook without a sheet; save it as CSV")
            yield from sheet_rows(path, book.worksheets[0])
        finally:
            book.close()
    except UserError:
        raise
    except Exception as error:  # whatever zipfile and the XML parser find
        raise UserError(f"{path}: is no workbook that can be read ({first_line(error)}); save it as CSV") from error


def sheet_rows(path: Path, sheet: Any) -> Iterator[list[str]]:
    """The rows of a sheet, each up to its last cell. Raises UserError for too many."""
    sheet.reset_dimensions()  # what it says of its size may be anything
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        cells += max(1, len(row))
        if cells > MOST_CELLS:
            raise UserError(f"{path}: its first sheet has more than {MOST_CELLS} cells; save what is used as CSV")
        yield [written(cell) for cell in row]


def written(cell: Any) -> str:
    """A cell as text."""
    return "" if cell is None else str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
