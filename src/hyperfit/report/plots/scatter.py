"""A gain against its price, as a plot: a point a way to write, named; those that nothing beats in both stand out."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from hyperfit.numbers import decimal, figures
from hyperfit.report.look import CONDITIONS, SERIES, Look
from hyperfit.report.plots.marks import Found, value
from hyperfit.report.plots.panels import Panel

Pixels = Any
"""float[2]: x and y, or width and height."""
SIZE = (4.2, 4.0)
"""Inches: points need more height than curves."""
FRONT, BESIDE = 8, 5
"""Points across of a mark on the front, and of any other."""
PAD = 1.5
"""Points around a name that stay free."""
AWAY = tuple(
    (side * across, up) for across in (8, 30) for up in (0, 11, -11, 22, -22, 33, -33, 44, -44) for side in (1, -1)
)
"""Where a name is tried, best first: (points to the right, points up) of its mark."""
FAR = 12
"""Points from a mark beyond which a line leads to its name."""
ALONG = (0.45, 0.7, 0.95)
"""Places along a line to a name that are kept free, as shares of it."""
TITLED = "point-"
"""Of the ids of marks, which ``values.titled`` gives their titles."""


def draw(panel: Panel, found: Found) -> list[str]:
    """Draw a scatter of a study: what each mark is, in words, in the order of its ids.

    found: a ``hyperfit.studies.study.Scatter`` as JSON has it.
    """
    panel.size = SIZE
    panel.figure.set_size_inches(*SIZE)
    panel.axes.set_xlabel(f"{found['told']} ({'← better' if found['better'] == 'low' else 'better →'})")
    panel.axes.grid(axis="x")
    looks = looks_of([point["series"] for point in found["points"]])
    for number, point in enumerate(found["points"]):
        look, place = looks[point["series"]], value(point["x"])
        (mark,) = panel.record(point["name"], [place], [point["y"]], 1)
        colour = getattr(panel.paint, look.colour)
        ends: dict[str, Any] = {"color": colour, "linestyle": "", "alpha": 0.35, "elinewidth": 0.7}
        if mark.low is not None and mark.high is not None:
            panel.axes.errorbar([place], [mark.value], [[mark.value - mark.low], [mark.high - mark.value]], **ends)
        panel.axes.plot(
            [place],
            [mark.value],
            gid=f"{TITLED}{number}",
            marker=look.marker,
            markersize=FRONT if point["front"] else BESIDE,
            color=colour,
            markerfacecolor=colour if point["front"] else panel.paint.page,
            linestyle="",
        )
        hollow = Line2D([], [], color=colour, marker=look.marker, linestyle="", markerfacecolor=panel.paint.page)
        panel.handles.setdefault(point["series"], hollow)
    panel.axes.margins(0.25, 0.12)
    name_points(panel, found["points"], looks, joined(panel, found))
    return [title(panel, point, found["told"]) for point in found["points"]]


def looks_of(series: Sequence[str]) -> dict[str, Look]:
    """How each series is drawn: conditions as everywhere, the others in turn."""
    others = [name for name in dict.fromkeys(series) if name not in CONDITIONS]
    return CONDITIONS | {name: SERIES[place % len(SERIES)] for place, name in enumerate(others)}


def joined(panel: Panel, found: Found) -> list[tuple[float, float]]:
    """A stepped line through the front, what can be had at most at each price: its corners."""
    front = sorted((value(point["x"]), value(point["y"])) for point in found["points"] if point["front"])
    corners = front[:1]
    for (before, high), (after, low) in pairwise(front):
        corners += [(after, high) if found["better"] == "low" else (before, low), (after, low)]
    look: dict[str, Any] = {"color": panel.paint.soft, "linestyle": (0, (4, 3)), "linewidth": 0.9}
    panel.axes.plot([x for x, _ in corners], [y for _, y in corners], zorder=1, **look)
    if front:
        panel.handles["filled: nothing is better in both"] = Line2D([], [], marker="o", markersize=FRONT, **look)
    return corners


def name_points(
    panel: Panel, points: Sequence[Found], looks: dict[str, Look], corners: Sequence[tuple[float, float]]
) -> None:
    """Write each point's label where it covers no mark, line or other label, if it can be; the front's first, bold."""
    panel.figure.draw_without_rendering()
    inside, size = panel.axes.get_window_extent(), panel.figure.dpi / 72
    spots = [panel.axes.transData.transform((value(point["x"]), value(point["y"]))) for point in points]
    turns = [panel.axes.transData.transform(corner) for corner in corners]
    taken = [Bbox.from_bounds(x - 4 * size, y - 4 * size, 8 * size, 8 * size) for x, y in spots]
    taken += [Bbox([one, other]) for one, other in pairwise(turns)]
    for number in sorted(range(len(points)), key=lambda number: not points[number]["front"]):
        point, look = points[number], looks[points[number]["series"]]
        if point["label"]:
            measure = label(panel, point, look, *AWAY[0])
            written = measure.get_window_extent()
            measure.remove()
            covered = [covers(spots[number], written.size, right, up, size) for right, up in AWAY]
            cost = [crowding(boxes, taken, inside) + place / 100 for place, boxes in enumerate(covered)]
            best = cost.index(min(cost))
            label(panel, point, look, *AWAY[best])
            taken += covered[best]


def label(panel: Panel, point: Found, look: Look, right: float, up: float) -> Annotation:
    """A point's label, so many points to the right of it and above it; with a line to it where it is far."""
    colour = getattr(panel.paint, look.colour)
    line: dict[str, Any] = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    written = panel.axes.annotate(
        point["label"],
        (value(point["x"]), value(point["y"])),
        (right, up),
        textcoords="offset points",
        ha="left" if right > 0 else "right",
        va="center",
        color=colour,
        weight="bold" if point["front"] else "normal",
        arrowprops=line if far(right, up) else None,
    )
    written.set_in_layout(False)
    return written


def far(right: float, up: float) -> bool:
    """Whether a label so many points away needs a line to its mark."""
    return max(abs(right), abs(up)) > FAR


def covers(spot: Pixels, written: Pixels, right: float, up: float, size: float) -> list[Bbox]:
    """What a label of a mark covers: its text, and places along its line. size: pixels of a point."""
    (x, y), (width, height) = spot, written
    start = x + right * size - (width if right < 0 else 0)
    text = Bbox.from_bounds(start, y + up * size - height / 2, width, height).padded(PAD * size)
    along = [(x + share * right * size, y + share * up * size) for share in ALONG] if far(right, up) else []
    return [text, *(Bbox.from_bounds(x - size, y - size, 2 * size, 2 * size) for x, y in along)]


def crowding(boxes: Sequence[Bbox], taken: Sequence[Bbox], inside: Bbox) -> int:
    """How many things a label would cover, and, as two more, whether it would leave the axes."""
    out = not all(inside.contains(*corner) for corner in (boxes[0].min, boxes[0].max))
    return sum(box.overlaps(other) for box, other in product(boxes, taken)) + 2 * out


def title(panel: Panel, point: Found, told: str) -> str:
    """What a mark says when it is pointed at."""
    front = "; nothing is better in both" if point["front"] else ""
    return (
        f"{point['name']}: {panel.title} {decimal(value(point['y']), 3)}, {told} {figures(value(point['x']), 3)}{front}"
    )
