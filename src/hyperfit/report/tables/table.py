"""A table of estimates, for the terminal and for the page."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from hyperfit.metrics.estimate import Estimate
from hyperfit.report.tables.measures import Measure

UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)
NAME_WIDTH = 20
"""Characters of a row's name above which the terminal breaks it between its pieces."""
PIECE = re.compile(r"\+?[^/:,+ ]+[/:,]? ?|[/:,+ ]")
"""Of a condition's name: hyperfitted/ nucleus: top_p=0.95, temperature=1 +blocked."""
LONG_HEADING = 13
"""Characters of a heading above which the terminal breaks it at its spaces: an interval takes as many."""
WIDE = 10_000
"""Columns in which any table fits, to ask how many it takes."""


@dataclass(frozen=True)
class Cell:
    """A number as it is printed, its interval, if it has one, and both unrounded."""

    value: str
    interval: str = ""
    known: Estimate = UNKNOWN

    @property
    def n(self) -> int:
        """Texts behind the number; 0 for none, or if another has counted them."""
        return self.known.n

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".strip()


@dataclass(frozen=True)
class Row:
    """One condition or model, or what a paper found for it."""

    name: str
    cells: list[Cell]
    source: str = ""
    """The paper and the model the numbers are of; "" for our own."""


@dataclass(frozen=True)
class Sheet:
    """A table: rows of one cell a measure."""

    name: str
    """For files and programs."""
    title: str
    rows: list[Row]
    measures: tuple[Measure, ...] = field(default=())
    unit: str = "texts"
    """What n counts."""
    shaded: bool = False
    """Whether the page shades cells by their values, which are shares."""

    @property
    def columns(self) -> list[str]:
        """Headings of the measures."""
        return [measure.heading for measure in self.measures]

    @property
    def n(self) -> int:
        """The commonest number of texts behind a cell; 0 if no number is defined."""
        counts = Counter(cell.n for row in self.rows for cell in row.cells if cell.n)
        return max(counts, key=lambda n: (counts[n], n), default=0)

    @property
    def caption(self) -> str:
        """How many texts stand behind the numbers, and what the brackets are."""
        if not self.n:
            return "No number is defined."
        other = any(self.few(cell) for row in self.rows for cell in row.cells)
        return f"n = {self.n} {self.unit}{' unless told' if other else ''}; 95 % intervals in brackets."

    def few(self, cell: Cell) -> str:
        """The n of a cell that differs from the table's, as "n 12"; else ""."""
        return f"n {cell.n}" if cell.n not in (0, self.n) else ""


def cell(measures: Mapping[str, Any], measure: Measure, sign: str = "-") -> Cell:
    """One measure of a condition or model: an estimate, a plain number, or nothing.

    A ``spread``, which is none of texts, stands in round brackets. sign: "+" for differences.
    """
    found = measures.get(measure.key)
    if not isinstance(found, Mapping):
        value = math.nan if found is None else float(found)
        return Cell(measure.show(value, sign), known=Estimate(value, math.nan, math.nan, 0))
    known = Estimate.from_dict({name: found[name] for name in ("value", "low", "high", "n")})
    spread = [end for end in found.get("spread", ()) if end is not None]
    beside = "" if math.isnan(known.low) else measure.show.interval(known, sign)
    if len(spread) == 2:
        beside = f"({measure.show(spread[0])}–{measure.show(spread[1])})"
    return Cell(measure.show(known.value, sign), beside, known)


@dataclass(frozen=True)
class TerminalSheets:
    """Tables for the terminal, one below the other, each in as few parts as its width allows. Nothing is cut."""

    sheets: Sequence[Sheet]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """What rich prints."""
        stack = Table.grid()
        for place, one in enumerate(chain.from_iterable(fitting(sheet, console, options) for sheet in self.sheets)):
            if place:
                stack.add_row()
            stack.add_row(one)
        yield stack


def fitting(sheet: Sheet, console: Console, options: ConsoleOptions) -> list[Table]:
    """A table in the fewest parts of about as many measures that are not too wide; a measure a part if all are."""
    for count in range(1, len(sheet.measures) + 1):
        tables = [terminal_sheet(part) for part in parts(sheet, count)]
        if all(
            console.measure(table, options=options.update(max_width=WIDE)).maximum <= options.max_width
            for table in tables
        ):
            break
    return tables


def parts(sheet: Sheet, count: int) -> list[Sheet]:
    """The table in so many parts of about as many measures; without rows that are empty there."""
    ends = [-(-len(sheet.measures) * part // count) for part in range(count + 1)]
    return [
        Sheet(
            sheet.name,
            sheet.title + (", continued" if start else ""),
            [
                Row(row.name, row.cells[start:end], row.source)
                for row in sheet.rows
                if not row.source or any(cell.value for cell in row.cells[start:end])
            ],
            sheet.measures[start:end],
            sheet.unit,
        )
        for start, end in pairwise(ends)
    ]


def terminal_sheet(sheet: Sheet) -> Table:
    """One table for the terminal, intervals below their values; the papers' numbers dim, with their sources below."""
    sources = list(dict.fromkeys(row.source for row in sheet.rows if row.source))
    notes = "".join(f"\n({place}) {source}" for place, source in enumerate(sources, start=1))
    table = Table(
        title=Text(sheet.title), caption=Text(sheet.caption + notes), box=SIMPLE_HEAD, show_edge=False, padding=0
    )
    table.title_justify = table.caption_justify = "left"
    table.title_style, table.caption_style = "bold", "dim"
    table.add_column("", overflow="fold", max_width=NAME_WIDTH)
    for heading in sheet.columns:
        heading = heading.replace(" ", "\n") if len(heading) > LONG_HEADING else heading
        table.add_column(Text(heading), justify="right", overflow="fold")
    for row in sheet.rows:
        if row.source:
            name = f"  paper ({sources.index(row.source) + 1})"
            table.add_row(name, *(one.value for one in row.cells), style="dim italic")
        else:
            table.add_row(Text(broken(row.name)), *(terminal_cell(sheet, one) for one in row.cells))
    return table


def terminal_cell(sheet: Sheet, one: Cell) -> Text:
    """A value and, below it, its interval and its n, if that is another than the table's."""
    below = "".join(f"\n{more}" for more in (one.interval, sheet.few(one)) if more)
    return Text.assemble(one.value, (below, "dim"))


def broken(name: str) -> str:
    """A row's name, on several lines where it is long, none of them lost; what no terminal shows as an escape."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in name)
    lines: list[str] = []
    for part in shown.replace(" − ", " \n− ").split("\n"):
        lines.append("")
        for piece in PIECE.findall(part):
            if lines[-1] and cell_len((lines[-1] + piece).rstrip()) > NAME_WIDTH:
                lines.append("")
            lines[-1] += piece
    return "\n".join(lines)
