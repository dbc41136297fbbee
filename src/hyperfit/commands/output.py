"""What commands print: tables, or JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

Json = Annotated[bool, arg(name="json")]
"""The flag --json."""


def show_results(folder: Path, *, as_json: bool, texts: int) -> None:
    """The evaluation as tables with some texts, or as JSON; and where the report is."""
    from hyperfit.report.texts.samples import terminal_texts

    results = json.loads((folder / "evaluation.json").read_text(encoding="utf-8"))
    show_tables(results, *(() if as_json else [terminal_texts(folder, texts)]), as_json=as_json)
    if not as_json:
        print(f"Report: {folder / 'report.html'}; tables as CSV and LaTeX: {folder / 'tables'}")


def show_tables(results: dict[str, Any], *more: Any, as_json: bool) -> None:
    """An evaluation as JSON with its tables, or as two sentences, the papers' tables, copies, and what else comes."""
    from rich.console import Console
    from rich.text import Text

    from hyperfit.report.tables.exports import to_json
    from hyperfit.report.tables.papers import all_tables, blocking_lines, terminal_tables
    from hyperfit.report.tables.summary import summary
    from hyperfit.report.tables.table import terminal_sheets
    from hyperfit.report.texts.samples import terminal_copies

    if as_json:
        print(json.dumps({**results, "tables": to_json(all_tables(results))}, ensure_ascii=False))
        return
    console = Console(width=None if sys.stdout.isatty() else 100)
    with console.capture() as page:  # rich would end the process itself if the reader of a pipe has gone
        for shown in (
            *([Text(" ".join(sentences) + "\n")] if (sentences := summary(results)) else []),
            terminal_sheets(terminal_tables(results)),
            *blocking_lines(results),
            terminal_copies(results),
            *more,
        ):
            console.print(shown, highlight=False)
    print(page.get(), end="")
