"""One visual language for all pages and plots: condition → colour, mark and dashes; the colours of page and files."""

from dataclasses import dataclass
from typing import Any

PAINT = {
    "#010101": "currentColor",
    "#020202": "var(--rule)",
    "#030303": "var(--base)",
    "#040404": "var(--tuned)",
    "#050505": "var(--page)",
    "#060606": "var(--soft)",
    "#070707": "var(--teal)",
    "#080808": "var(--violet)",
    "#090909": "var(--green)",
}
"""Colours matplotlib is given → what stands for them in the page, which differs in light, dark and print."""
INK, RULE, BASE, TUNED, PAGE, SOFT, TEAL, VIOLET, GREEN = PAINT

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "hyperfit",
    "font.family": "DejaVu Sans",  # ships with matplotlib; the page puts its own in
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
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
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
}


@dataclass(frozen=True)
class Paint:
    """The colours of a plot: three of the conditions, three of paper and lines, four of series that are no condition.

    All pages have them as variables.
    """

    ink: str = INK
    rule: str = RULE
    base: str = BASE
    tuned: str = TUNED
    page: str = PAGE
    soft: str = SOFT
    teal: str = TEAL
    violet: str = VIOLET
    green: str = GREEN


IN_PAGE = Paint()
"""Colours that stand for the page's own."""
IN_FILE = Paint(
    ink="#1e1d1b",
    rule="#cfc9be",
    base="#ad4f1a",
    tuned="#1d5ca3",
    page="#ffffff",
    soft="#69655e",
    teal="#007d8f",
    violet="#6a1f5e",
    green="#3f6212",
)
"""Those of a file, which nothing replaces: the page's in the light."""
IN_DARK = {"teal": "#6fd1c7", "violet": "#8f7bf0", "green": "#c2df5a"}
"""What the page has in the dark for the series that are no condition."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn. No two have a mark or dashes in common, so that colour alone never tells them apart."""

    colour: str
    """Its name among those of Paint."""
    marker: str
    dashes: Any
    """As linestyle of matplotlib takes it."""


CONDITIONS = {
    "base": Look("base", "s", "--"),
    "hyperfitted": Look("tuned", "o", "-"),
    "human": Look("ink", "^", ":"),
}
"""What wrote or predicts → orange squares, blue circles, triangles in ink."""
SERIES = (
    Look("teal", "D", "-."),
    Look("violet", "v", (0, (7, 2))),
    Look("green", "P", (0, (1, 1))),
    Look("soft", "X", (0, (5, 1, 1, 1, 1, 1))),
)
"""Of series that are no condition, in turn."""
LIMIT = Look("soft", "", (0, (4, 3)))
"""Of a level that nothing measured: a goal, a figure of a paper."""


def look_of(condition: str) -> Look:
    """How a condition such as ``hyperfitted/greedy`` is drawn."""
    return CONDITIONS[condition.split("/")[0]]
