"""Tables for other programs: CSV, LaTeX, and plain values for JSON."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from hyperfit.report.tables.table import Row, Sheet
from hyperfit.runs.files import writing

CSV_COLUMNS = ("row", "source", "measure", "value", "low", "high", "n")
OURS = "measured"
LATEX = {
    "\\": r"\textbackslash{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "−": "$-$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "ρ": r"$\rho$",
}
"""Characters that mean something else to LaTeX, or nothing, and what prints them."""


def write_tables(folder: Path, sheets: Sequence[Sheet]) -> None:
    """folder/NAME.csv and NAME.tex for each sheet, each whole or absent; what else lies in the folder stays."""
    for sheet in sheets:
        for kind, content in (("csv", to_csv(sheet)), ("tex", to_latex(sheet))):
            with writing(folder / f"{sheet.name}.{kind}") as aside:
                aside.write_text(content, encoding="utf-8", newline="")


def numbers(sheet: Sheet) -> Iterator[dict[str, Any]]:
    """One dict of CSV_COLUMNS a number: unrounded, in the unit of evaluation.json; None where undefined.

    source is "measured" for our own, else the paper and model; of a paper's range only the ends are known.
    """
    for row in sheet.rows:
        for measure, cell in zip(sheet.measures, row.cells, strict=True):
            if row.source and not cell.value:
                continue
            plain = cell.known.to_dict() | {"n": cell.n or None}
            yield {"row": row.name, "source": row.source or OURS, "measure": measure.key, **plain}


def to_csv(sheet: Sheet) -> str:
    """One number a line, under CSV_COLUMNS; empty where undefined or unknown."""
    file = StringIO()
    writer = csv.DictWriter(file, CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(numbers(sheet))
    return file.getvalue()


def to_json(sheets: Sequence[Sheet]) -> dict[str, Any]:
    """Name of a table → its title and its numbers."""
    return {sheet.name: {"title": sheet.title, "numbers": list(numbers(sheet))} for sheet in sheets}


def to_latex(sheet: Sheet) -> str:
    r"""A table of the booktabs package (``\usepackage{booktabs}``), the papers' numbers in italics."""
    lines = [
        "% needs \\usepackage{booktabs}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escaped(sheet.title.partition('. ')[2] or sheet.title)}. {escaped(sheet.caption)}}}",
        rf"\label{{tab:hyperfit-{sheet.name}}}",
        rf"\begin{{tabular}}{{l{'r' * len(sheet.measures)}}}",
        r"\toprule",
        " & ".join(["", *map(escaped, sheet.columns)]) + r" \\",
        r"\midrule",
        *(latex_row(sheet, row) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_row(sheet: Sheet, row: Row) -> str:
    """One line of the table."""
    if row.source:
        cells = [rf"\textit{{{escaped(text)}}}" if text else "" for text in (cell.value for cell in row.cells)]
        return " & ".join([rf"\quad\textit{{{escaped(row.source)}}}", *cells]) + r" \\"
    cells = []
    for cell in row.cells:
        beside = " ".join(filter(None, (cell.interval, sheet.few(cell))))
        cells.append(escaped(cell.value) + (rf" {{\footnotesize {escaped(beside)}}}" if beside else ""))
    return " & ".join([f"{{}}{escaped(row.name)}", *cells]) + r" \\"  # {}: "\\ [" would be a distance


def escaped(text: str) -> str:
    """Text as LaTeX prints it; white space of any kind becomes a space."""
    return "".join(LATEX.get(character, character) for character in " ".join(text.split()))
