"""Workbooks of some kilobytes that stand for gigabytes: refused before these are in memory."""

import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest

from hyperfit.errors import UserError
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.reading import workbooks
from hyperfit.prefer.reading.files import read_judgements

SHEET = "xl/worksheets/sheet1.xml"


def workbook(path: Path) -> Path:
    book = openpyxl.Workbook()
    for row in (["context", "A", "B", "annotator 1"], ["c", "x", "y", "A"], ["d", "x", "y", "equal"]):
        book.active.append(row)
    book.save(path)
    return path


def changed(path: Path, change: Callable[[str], str], method: int = zipfile.ZIP_DEFLATED) -> Path:
    """The workbook with another sheet, packed in some way."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts[SHEET] = change(parts[SHEET])
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def judged(path: Path) -> list[Judgement]:
    return read_judgements([path]).people


def problem(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        judged(path)
    (told,) = caught.value.problems
    return told


def test_what_all_parts_unpack_to_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = changed(workbook(tmp_path / "a.xlsx"), lambda sheet: f"{sheet}<!--{' ' * 3_000_000}-->")
    assert path.stat().st_size < 20_000
    assert len(judged(path)) == 2
    monkeypatch.setattr(workbooks, "MOST_BYTES", 2**21)
    opened: list[str] = []
    monkeypatch.setattr(zipfile.ZipFile, "open", lambda self, name, *others: opened.append(name))
    assert problem(path) == f"{path}: unpacks to more than 2 MiB; save its first sheet as CSV"
    assert not opened, "nothing is unpacked for that"


def test_parts_in_another_packing_are_not_unpacked(tmp_path: Path) -> None:
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        path = changed(workbook(tmp_path / "a.xlsx"), str, method)
        assert "is no workbook that can be read (" in (told := problem(path))
        assert "in it is packed in a way that such files are not" in told
    assert len(judged(changed(workbook(tmp_path / "a.xlsx"), str, zipfile.ZIP_STORED))) == 2


def far(column: str, row: int) -> Callable[[str], str]:
    """Put a cell there, alone in its row."""
    cell = f'<row r="{row}"><c r="{column}{row}"><v>1</v></c></row></sheetData>'
    return lambda sheet: sheet.replace("</sheetData>", cell)


@pytest.mark.parametrize(("column", "row"), [("A", 9_999), ("ZZZ", 5), ("A", 10**15)])
def test_cells_far_away_are_not_reached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: str, row: int) -> None:
    path = changed(workbook(tmp_path / "a.xlsx"), far(column, row))
    monkeypatch.setattr(workbooks, "MOST_CELLS", 5_000)
    assert problem(path) == f"{path}: its first sheet has more than 5000 cells; save what is used as CSV"
    if row < 10**6:
        monkeypatch.setattr(workbooks, "MOST_CELLS", 20_000)
        assert len(judged(path)) == 2


def test_what_a_sheet_says_of_its_size_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workbook(tmp_path / "a.xlsx")
    changed(path, lambda sheet: re.sub(r'<dimension ref="[^"]*"', '<dimension ref="A1:XFD1048576"', sheet))
    monkeypatch.setattr(workbooks, "MOST_CELLS", 12)
    assert len(judged(path)) == 2


def test_damage_in_the_middle_of_a_sheet_is_told(tmp_path: Path) -> None:
    rows = "".join(f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>' for row in range(4, 20_000))
    path = changed(workbook(tmp_path / "a.xlsx"), lambda sheet: sheet.replace("</sheetData>", f"{rows}<</sheetData>"))
    assert f"{path}: is no workbook that can be read (not well-formed" in problem(path)
