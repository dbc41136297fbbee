"""One visual language for all pages and plots: base orange, hyperfitted blue, human in the colour of ink."""

from dataclasses import dataclass
from typing import Any

PAINT = {
    "#010101": "currentColor",
    "#020202": "var(--rule)",
    "#030303": "var(--base)",
    "#040404": "var(--tuned)",
    "#050505": "var(--page)",
}
"""Colours matplotlib is given → what stands for them in the page, which differs in light, dark and print."""
INK, RULE, BASE, TUNED, PAGE = PAINT

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hyperfit",
    "font.family": "DejaVu Sans",  # ships with matplotlib; the page puts its own in
    "font.size": 9,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.5,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "ytick.left": False,
    "axes.spines.left": False,
    "lines.linewidth": 1.6,
    "lines.markersize": 3.5,
}


@dataclass(frozen=True)
class Paint:
    """The five colours of a plot."""

    ink: str = INK
    rule: str = RULE
    base: str = BASE
    tuned: str = TUNED
    page: str = PAGE


IN_PAGE = Paint()
"""Colours that stand for the page's own."""
IN_FILE = Paint("#1e1d1b", "#cfc9be", "#ad4f1a", "#1d5ca3", "#ffffff")
"""Those of a file, which nothing replaces."""
