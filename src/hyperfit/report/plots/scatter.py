"""A gain against its price, as a plot: a point a way to write, named; those that nothing beats in both stand out."""

from collections.abc import Sequence
from itertools import product
from typing import Any

from matplotlib.lines import Line2D
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from hyperfit.report.look import CONDITIONS, SERIES, Look
from hyperfit.report.plots.panels import Found, Panel, value

SIZE = (4.2, 4.0)
"""Inches: points need more height than curves."""
FRONT, BESIDE = 8, 5
"""Points across of a mark on the front, and of any other."""
AWAY = tuple(product((0, 11, -11, 22, -22, 33, -33), (1, -1)))
"""Where a name is tried, best first: (points up, right or left of its mark)."""
GAP, PAD = 8, 1.5
"""Points from a mark to its name, and around a name that stays free."""
TITLED = "point-"
"""Of the ids of marks, which ``values.titled`` gives their titles."""


def draw(panel: Panel, found: Found, heading: str, factor: float = 1) -> list[str]:
    """Draw a scatter of a study: what each mark is, in words, in the order of its ids.

    found: x, y, better, points. heading: of the price. factor: of the price.
    """
    panel.size = SIZE
    panel.figure.set_size_inches(*SIZE)
    panel.along = heading
    panel.axes.set_xlabel(f"← better    {heading}" if found["better"] == "low" else f"{heading}    better →")
    panel.axes.grid(axis="x")
    looks = looks_of([point["series"] for point in found["points"]])
    for number, point in enumerate(found["points"]):
        look, place = looks[point["series"]], factor * value(point["x"])
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
        panel.handles.setdefault(point["series"], Line2D([], [], color=colour, marker=look.marker, linestyle=""))
    joined(panel, found, factor)
    panel.axes.margins(0.12)
    name_points(panel, found, looks, factor)
    return [title(panel, point, heading, factor) for point in found["points"]]


def looks_of(series: Sequence[str]) -> dict[str, Look]:
    """How each series is drawn: conditions as everywhere, the others in turn."""
    others = [name for name in dict.fromkeys(series) if name not in CONDITIONS]
    return CONDITIONS | {name: SERIES[place % len(SERIES)] for place, name in enumerate(others)}


def joined(panel: Panel, found: Found, factor: float) -> None:
    """A step line through the front: what can be had at most at each price."""
    front = sorted((factor * value(point["x"]), value(point["y"])) for point in found["points"] if point["front"])
    low = found["better"] == "low"
    panel.axes.plot(
        [x for x, _ in front],
        [y for _, y in front],
        drawstyle="steps-post" if low else "steps-pre",
        color=panel.paint.soft,
        linestyle=(0, (4, 3)),
        linewidth=0.9,
        zorder=1,
    )
    if front:
        panel.handles["filled: nothing is better in both"] = Line2D(
            [], [], color=panel.paint.soft, marker="o", markersize=FRONT, linestyle=(0, (4, 3))
        )


def name_points(panel: Panel, found: Found, looks: dict[str, Look], factor: float) -> None:
    """Write each point's label where it covers neither a mark nor another label; the front's first, and bold."""
    panel.figure.draw_without_rendering()
    size = panel.figure.dpi / 72
    spots = {
        number: panel.axes.transData.transform((factor * value(point["x"]), value(point["y"])))
        for number, point in enumerate(found["points"])
    }
    taken = [Bbox.from_bounds(x - 4 * size, y - 4 * size, 8 * size, 8 * size) for x, y in spots.values()]
    order = sorted(spots, key=lambda number: not found["points"][number]["front"])
    for number in order:
        point = found["points"][number]
        if not point["label"]:
            continue
        colour = getattr(panel.paint, looks[point["series"]].colour)
        where = (factor * value(point["x"]), value(point["y"]))
        tried = [label(panel, point, where, colour, up, side) for up, side in AWAY]
        boxes = [one.get_window_extent().padded(PAD * size) for one in tried]
        cost = [crowding(box, taken, panel.axes.get_window_extent()) + place / 100 for place, box in enumerate(boxes)]
        best = cost.index(min(cost))
        for one in tried[:best] + tried[best + 1 :]:
            one.remove()
        taken.append(boxes[best])


def label(panel: Panel, point: Found, where: tuple[float, float], colour: str, up: float, side: int) -> Annotation:
    """A point's label, so many points above it, right (1) or left (-1) of it; with a line to it where it is far."""
    line: dict[str, Any] = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3}
    written = panel.axes.annotate(
        point["label"],
        where,
        (side * GAP, up),
        textcoords="offset points",
        ha="left" if side > 0 else "right",
        va="center",
        color=colour,
        weight="bold" if point["front"] else "normal",
        arrowprops=line if abs(up) > 12 else None,
    )
    written.set_in_layout(False)
    return written


def crowding(box: Bbox, taken: Sequence[Bbox], inside: Bbox) -> float:
    """How many things a label would cover, and whether it would leave the axes."""
    out = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
    return float(sum(box.overlaps(other) for other in taken) + 2 * out)


def title(panel: Panel, point: Found, heading: str, factor: float) -> str:
    """What a mark says when it is pointed at."""
    front = "; nothing is better in both" if point["front"] else ""
    return f"{point['name']}: {panel.title} {value(point['y']):.3f}, {heading} {factor * value(point['x']):.3g}{front}"
