"""What a reader of the studies sees first: a sentence and a small figure for each question."""

import re
from collections.abc import Sequence
from textwrap import fill
from typing import Any

from markupsafe import Markup

from hyperfit.report.harmless import harmless
from hyperfit.report.look import CONDITIONS, IN_PAGE, SERIES, Look
from hyperfit.report.plots.labels import LINE
from hyperfit.report.plots.marks import Found
from hyperfit.report.plots.panels import Panel, panels, style
from hyperfit.report.plots.values import svg
from hyperfit.report.tables.studies import measure_of

WIDTH, FRAME = 3.4, 0.45
"""Inches: of a small figure, and of what lies around its rows."""
MOST_ROWS = 16
LETTERS = 22
"""Of a line of a row's name."""
SENTENCE = re.compile(r"(?<!\bal)\.\s+(?=[A-Z])")
"""Between two sentences; not behind "et al."."""


def first_sentence(told: str) -> str:
    """What was found, in one sentence."""
    return SENTENCE.split(told)[0].rstrip(".") + "."


def small_figure(found: Found) -> Markup:
    """The chart of a study that says most, or bars of its headline; empty where there is nothing to draw."""
    described = {chart["measure"]: chart for chart in reversed(found["charts"])}
    if found.get("headline") is None and described:
        return small_chart(found, described.get("ttr") or found["charts"][0])
    return small_bars(found, found.get("headline") or usual(found))


def usual(found: Found) -> dict[str, Any]:
    """The headline of a study that names none."""
    if not found["tables"]:
        return {"table": "", "measure": "", "rows": []}
    first = found["tables"][0]
    return {"table": first["name"], "measure": first["measures"][0], "rows": [row["name"] for row in first["rows"]]}


def small_chart(found: Found, chart: Found) -> Markup:
    """One chart of the study."""
    with style(IN_PAGE):
        (panel,) = panels(1, 1, IN_PAGE)
        curves(panel, chart)
        return drawn(panel, found, f"{measure_of(chart['measure']).heading} by {chart['x']}")


def small_bars(found: Found, headline: Found) -> Markup:
    """One measure of some rows of a table, as bars."""
    rows = [
        row
        for table in found["tables"]
        if table["name"] == headline["table"]
        for row in table["rows"]
        if row["name"] in headline["rows"] and not row["source"] and row["cells"][headline["measure"]]["n"]
    ][:MOST_ROWS]
    if not rows:
        return Markup("")
    measure = measure_of(headline["measure"])
    names = [fill(harmless(row["name"]), LETTERS, break_on_hyphens=False) for row in rows]
    with style(IN_PAGE):
        (panel,) = panels(1, 1, IN_PAGE)
        panel.describe(measure.heading, "condition", names=names, lying=True)
        for place, row in enumerate(rows):
            look = look_of_name(row["name"])
            panel.bars(row["name"], [place], [row["cells"][measure.key]], look, factor=measure.show.factor)
        panel.handles.clear()  # the places say what the bars are
        lines = 1 + max(name.count("\n") for name in names)
        panel.size = (WIDTH, FRAME + LINE / 72 * len(names) * max(2, lines + 0.5))
        panel.figure.set_size_inches(*panel.size)
        return drawn(panel, found, headline.get("told") or measure.heading)


def curves(panel: Panel, chart: Found) -> None:
    """Draw the lines of a chart."""
    measure = measure_of(chart["measure"])
    panel.describe(measure.heading, chart["x"])
    if chart["log"]:
        panel.axes.set_xscale("log", base=2)
    looks = looks_of([line["name"] for line in chart["lines"]])
    for line, look in zip(chart["lines"], looks, strict=True):
        places, known = [place for place, _ in line["points"]], [one for _, one in line["points"]]
        panel.curve(line["name"], places, known, look, factor=measure.show.factor)


def looks_of(names: Sequence[str]) -> list[Look]:
    """The first line of each condition looks like it everywhere; further ones of it are series."""
    found: list[Look] = []
    for name in names:
        own = look_of_name(name)
        further = sum(one in SERIES for one in found)
        found.append(SERIES[further % len(SERIES)] if own in found else own)
    return found


def look_of_name(name: str) -> Look:
    """Rows of the base model and of people look like them everywhere; whatever was trained as hyperfitted."""
    known = [word for word in re.split(r"[,/ ]+", name) if word in CONDITIONS]
    return CONDITIONS[known[0] if known else "hyperfitted"]


def drawn(panel: Panel, found: Found, heading: str) -> Markup:
    """The panel below its heading."""
    about = f"{heading}, {found['study']}"
    title = Markup("<figcaption>{}</figcaption>").format(f"{heading[:1].upper()}{heading[1:]}")
    return Markup("<figure>{}{}</figure>").format(title, Markup(svg(panel.finish(), f"small-{found['study']}", about)))
