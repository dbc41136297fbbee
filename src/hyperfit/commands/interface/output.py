"""What commands print: tables, or JSON."""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import arg

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 100
"""Columns of tables that no terminal shows."""
COUNTED = (
    "Tokens are those of {} (--tokenizer names another model's); numbers are comparable only where the same tokenizer "
    "has counted, so the papers' figures are left out."
)
"""Said above tables of texts from elsewhere."""
Json = Annotated[bool, arg(name="json")]
"""The flag --json."""


def terminal() -> "Console":
    """What tables are printed on: as wide as the terminal; in a pipe as PIPE_WIDTH says, or the variable COLUMNS."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH)


def show_results(folder: Path, *, as_json: bool, texts: int) -> None:
    """The evaluation as tables with some texts, or as JSON; and where the report is."""
    from hyperfit.report.texts.samples import terminal_texts

    results = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    show_tables(results, *(() if as_json else [terminal_texts(folder, texts)]), as_json=as_json)
    if not as_json:
        print(f"Report: {folder / 'report.html'}; tables as CSV and LaTeX: {folder / 'tables'}")


def show_tables(results: dict[str, Any], *more: Any, as_json: bool) -> None:
    """An evaluation as JSON with its tables, or as two sentences, the papers' tables, copies, and what else comes."""
    from rich.text import Text

    from hyperfit.report.tables.evaluations.papers import all_tables, blocking_lines, counted_by, terminal_tables
    from hyperfit.report.tables.evaluations.summary import summary
    from hyperfit.report.tables.exports import to_json
    from hyperfit.report.tables.table import TerminalSheets
    from hyperfit.report.texts.samples import terminal_copies

    if as_json:
        print(json.dumps({**results, "tables": to_json(all_tables(results))}, ensure_ascii=False))
        return
    console = terminal()
    with console.capture() as page:  # rich would end the process itself if the reader of a pipe has gone
        for shown in (
            *([Text(" ".join(sentences) + "\n")] if (sentences := summary(results)) else []),
            *([Text(f"{COUNTED.format(name)}\n")] if (name := counted_by(results)) else []),
            TerminalSheets(terminal_tables(results)),
            *blocking_lines(results),
            terminal_copies(results),
            *more,
        ):
            console.print(shown, highlight=False)
    print(page.get(), end="")
