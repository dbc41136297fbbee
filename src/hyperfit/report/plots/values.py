"""A panel for a page: inline SVG, and below it every value that is drawn."""

import math
import re
from collections.abc import Sequence
from io import StringIO

from markupsafe import Markup, escape
from matplotlib.figure import Figure

from hyperfit.numbers import figures
from hyperfit.report.harmless import harmless
from hyperfit.report.look import PAINT
from hyperfit.report.plots.marks import Mark
from hyperfit.report.plots.panels import Panel
from hyperfit.report.plots.scatter import TITLED


def shown(panel: Panel, name: str, description: str) -> Markup:
    """The panel as an <svg>, then its values in a <details>; ids begin with ``name``."""
    return Markup(svg(panel.finish(), name, description)) + values(panel, description)


def titled(drawn: Markup, name: str, titles: Sequence[str]) -> Markup:
    """The <svg> of ``shown`` with a title in each mark of a scatter, which shows when one points at it."""
    for number, title in enumerate(titles):
        opening = f'<g id="{name}-{TITLED}{number}">'
        drawn = drawn.replace(Markup(opening), Markup(opening) + Markup("<title>{}</title>").format(harmless(title)))
    return drawn


def svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an <svg> element for a page: equal input, equal bytes; ids that begin with ``name``."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = file.getvalue()
    drawn = harmless(drawn[drawn.index("<svg") :])
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)
    for colour, paint in PAINT.items():
        drawn = drawn.replace(colour, paint)
    opening = re.sub(r' (width|height|version|xmlns(:xlink)?)="[^"]*"', "", drawn[: drawn.index(">")])
    return f'{opening} role="img" aria-label="{escape(harmless(description))}"{drawn[drawn.index(">") :]}'


def values(panel: Panel, description: str) -> Markup:
    """What is drawn, as a table that can be opened: series, place, value, and the interval where there is one."""
    bounded = any(mark.low is not None for mark in panel.marks)
    heads = ["series", panel.along, "value", *(["low", "high"] if bounded else [])]
    rows = [cells(panel, mark)[: len(heads)] for mark in panel.marks]
    return Markup(
        '<details class="values"><summary>Values</summary>'
        '<div class="scroll" role="region" aria-label="Values: {}" tabindex="0">'
        "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div></details>"
    ).format(
        harmless(description),
        Markup("").join(Markup('<th scope="col">{}</th>').format(head) for head in heads),
        Markup("").join(map(row, rows)),
    )


def cells(panel: Panel, mark: Mark) -> list[str]:
    """One value as text: series, place, value, low, high."""
    at = panel.place(mark.at) or "everywhere"
    return [
        harmless(mark.series),
        harmless(at),
        *(figures(math.nan if one is None else one) for one in (mark.value, mark.low, mark.high)),
    ]


def row(cells: Sequence[str]) -> Markup:
    """A row of a table whose first cell names it."""
    first, *others = cells
    told = Markup("").join(Markup("<td>{}</td>").format(cell) for cell in others)
    return Markup('<tr><th scope="row">{}</th>{}</tr>').format(first, told)
