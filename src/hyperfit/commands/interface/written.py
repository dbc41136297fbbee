"""Prompts and their continuations for people: where each begins and ends can be seen, with colours and without."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from hyperfit.report.harmless import harmless

Rows = Sequence[Mapping[str, Any]]
"""Each with prompt and continuation."""


def show_written(rows: Rows, console: Console) -> None:
    """On a terminal with styles each text in one piece, its prompt bold; elsewhere in plain text, under marks."""
    if not console.is_terminal or console.color_system is None:
        print(plain(rows), end="")
        return
    for place, row in enumerate(rows, start=1):
        console.print(Text(f"── text {place} of {len(rows)}, the prompt bold ──", "dim"), highlight=False)
        whole = Text.assemble((harmless(row["prompt"]), "bold"), harmless(row["continuation"]), overflow="fold")
        console.print(whole, highlight=False)
    console.print(Text("── end ──", "dim"), highlight=False)


def plain(rows: Rows) -> str:
    """Every prompt and continuation as it is, each below a line that names it, and a last line "end"."""
    mark = unlike(text for row in rows for text in (row["prompt"], row["continuation"]))
    lines = [
        line
        for place, row in enumerate(rows, start=1)
        for name in ("prompt", "continuation")
        for line in (f"{mark} {place} of {len(rows)}, {name}", row[name])
    ]
    return "\n".join([*lines, f"{mark} end"]) + "\n"


def unlike(texts: Iterable[str]) -> str:
    """Equals signs, three or more, with which no line of the texts begins."""
    lines = [line for text in texts for line in text.split("\n")]
    longest = max((len(line) - len(line.lstrip("=")) for line in lines), default=0)
    return "=" * max(3, longest + 1)
