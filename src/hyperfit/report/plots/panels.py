"""A panel of a plot: what is drawn in it, and the same values to read."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator
from matplotlib.transforms import offset_copy

from hyperfit.numbers import figures
from hyperfit.report.look import BASE, GREEN, IN_PAGE, INK, PAGE, RULE, SOFT, STYLE, TEAL, TUNED, VIOLET, Look, Paint
from hyperfit.report.plots.labels import LINE, lifts, thinned
from hyperfit.report.plots.marks import Found, Mark, arms, value

ALONE = (4.2, 2.6)
"""Inches of a panel that is a figure of its own, which a telephone shows at about this size."""
MOST_MARKS = 40
SHORT_NAME = 20
"""Letters of a series' name of which two fit beside each other."""
HIGH = 110
"""Points from the lowest to the highest value of a panel, about."""


@contextmanager
def style(paint: Paint) -> Iterator[None]:
    """Draw in these colours inside the block; in files, letters are shapes that need no font."""
    names = (INK, RULE, BASE, TUNED, PAGE, SOFT, TEAL, VIOLET, GREEN)
    own = dict(zip(names, vars(paint).values(), strict=True))
    changes: dict[Any, Any] = {key: own.get(value, value) for key, value in STYLE.items()}
    with rc_context(changes if paint == IN_PAGE else {**changes, "svg.fonttype": "path"}):
        yield


@dataclass
class Panel:
    """Axes, and what is drawn in them: all drawing goes through it, so that all of it can be read, too."""

    axes: Axes
    paint: Paint
    title: str = ""
    along: str = "place"
    """What the places are."""
    names: Sequence[str] = ()
    """Of the places 0, 1, 2, ..., where they are no numbers."""
    limits: tuple[float | None, float | None] = (None, None)
    """Of the axis of values; None: as the values are."""
    lying: bool = False
    """Whether places go down the side and bars to the right, which leaves room for long names."""
    marks: list[Mark] = field(default_factory=list)
    handles: dict[str, Line2D] = field(default_factory=dict)
    """Of the legend, by series."""
    ends: list[tuple[str, float, Look]] = field(default_factory=list)
    """Series that are named at their right end instead, and at what height."""
    size: tuple[float, float] = ALONE
    """Inches without the legend, of a panel that is a figure of its own."""

    @property
    def figure(self) -> Figure:
        """That the panel is in."""
        figure = self.axes.get_figure(root=True)
        assert figure is not None
        return figure

    def describe(
        self,
        title: str,
        along: str,
        *,
        names: Sequence[str] = (),
        low: float | None = None,
        high: float | None = None,
        lying: bool = False,
    ) -> None:
        """What is measured (the title), what the places are, and the ends of the axis of values."""
        self.title, self.along, self.names, self.limits, self.lying = title, along, names, (low, high), lying
        if lying:
            self.axes.grid(axis="x")
            self.axes.grid(visible=False, axis="y")
        else:
            self.axes.set_xlabel(along)
        if self.paint != IN_PAGE:  # where the page's own text says it
            self.axes.set_title(title)

    def curve(
        self,
        series: str,
        at: Sequence[float],
        known: Sequence[Found],
        look: Look,
        *,
        factor: float = 1,
        joined: bool = True,
        ended: bool = False,
    ) -> None:
        """Estimates with their intervals, times ``factor``, joined by a line; nothing of an estimate that is NaN.

        ended: whether the series is named at its right end.
        """
        if not at:
            return
        marks = self.record(series, at, known, factor)
        dashes, colour = look.dashes if joined else "", getattr(self.paint, look.colour)
        self.axes.errorbar(
            at,
            [mark.value for mark in marks],
            yerr=arms(marks),
            color=colour,
            marker=look.marker,
            linestyle=dashes,
            markerfacecolor=colour if joined else self.paint.page,
            elinewidth=0.9,
            markevery=-(-len(at) // MOST_MARKS),
        )
        if ended:
            self.ends.append((series, marks[-1].value, look))
        else:
            self.handles.setdefault(series, Line2D([], [], color=colour, marker=look.marker, linestyle=look.dashes))
        self.ticks()

    def bars(
        self,
        series: str,
        at: Sequence[float],
        known: Sequence[Found],
        look: Look,
        *,
        beside: float = 0,
        factor: float = 1,
    ) -> None:
        """A bar an estimate with its interval and the mark of its series, ``beside`` the place."""
        if not at:
            return
        marks = self.record(series, at, known, factor)
        colour, places = getattr(self.paint, look.colour), [place + beside for place in at]
        heights, thick = [mark.value for mark in marks], 0.38 if beside else 0.62
        if self.lying:
            self.axes.barh(places, heights, height=thick, color=colour, alpha=0.35)
        else:
            self.axes.bar(places, heights, width=thick, color=colour, alpha=0.35)
        ends: Any = {"xerr" if self.lying else "yerr": arms(marks)}
        spots = (heights, places) if self.lying else (places, heights)
        self.axes.errorbar(*spots, **ends, color=colour, marker=look.marker, linestyle="", elinewidth=1)
        self.handles.setdefault(series, Line2D([], [], color=colour, marker=look.marker, linestyle=""))
        self.ticks()

    def level(self, series: str, height: float, look: Look) -> None:
        """A thin line across, named at its right end; nothing for NaN."""
        if math.isnan(height):
            return
        self.marks.append(Mark(series, math.nan, height, None, None))
        self.ends.append((series, height, look))
        colour = getattr(self.paint, look.colour)
        self.axes.axhline(height, color=colour, linewidth=0.9, linestyle=look.dashes)

    def record(self, series: str, at: Sequence[float], known: Sequence[Found], factor: float) -> list[Mark]:
        """Note values to be drawn."""

        def end(number: float | None) -> float | None:
            return None if number is None else factor * number

        marks = [
            Mark(series, place, factor * value(one), end(one["low"]), end(one["high"]))
            for place, one in zip(at, known, strict=True)
        ]
        self.marks += marks
        return marks

    def ticks(self) -> None:
        """Ticks where the points are, thinned where they would stand too close."""
        places = sorted({mark.at for mark in self.marks if not math.isnan(mark.at)})
        scale: Callable[[float], float] = math.log2 if self.axes.get_xscale() == "log" else float
        if self.lying:
            self.axes.set_yticks(places, [""] * len(places))
            self.axes.set_ylim(places[-1] + 0.6, places[0] - 0.6)
            return
        shown = thinned(places, scale)
        self.axes.set_xticks(shown, [self.place(at) for at in shown])
        self.axes.xaxis.set_minor_locator(NullLocator())

    def place(self, at: float) -> str:
        """A place as it is written; "" for a level, which is everywhere."""
        if math.isnan(at):
            return ""
        return self.names[int(at)] if self.names else figures(at, 3)

    def finish(self) -> Figure:
        """Write the names of what is drawn: at right ends, and below the axes, where they cover nothing."""
        (self.axes.set_xlim if self.lying else self.axes.set_ylim)(*self.limits)
        self.name_lying()
        lowest, highest = self.axes.get_ylim()
        high = [HIGH * (height - lowest) / (highest - lowest) for _, height, _ in self.ends]
        for (series, height, look), lift in zip(self.ends, lifts(high), strict=True):
            self.axes.annotate(
                series,
                (1, height),
                (4, lift),
                xycoords=self.axes.get_yaxis_transform(),
                textcoords="offset points",
                va="center",
                color=getattr(self.paint, look.colour),
                annotation_clip=False,
            )
        if len(self.handles) > 1:
            below = 34 + LINE * max((name.count("\n") for name in self.names), default=0)
            columns = 2 if max(map(len, self.handles)) <= SHORT_NAME else 1
            if self.paint == IN_PAGE:
                rows = 1.3 * LINE / 72 * -(-len(self.handles) // columns)
                self.figure.set_size_inches(self.size[0], self.size[1] + rows)
            legend = self.axes.legend(
                self.handles.values(),
                self.handles,
                loc="upper left",
                bbox_to_anchor=(-0.04, 0),
                bbox_transform=offset_copy(self.axes.transAxes, self.figure, 0, -below, units="points"),
                ncols=columns,
                handlelength=3,
                columnspacing=1.2,
                borderaxespad=0,
            )
            for text in legend.get_texts():
                text.set_parse_math(False)
        return self.figure

    def name_lying(self) -> None:
        """Write the places of bars that lie, line by line, as a page's font has other widths than the one here."""
        for at in self.axes.get_yticks() if self.lying else ():
            lines = self.place(at).split("\n")
            for number, line in enumerate(lines):
                self.axes.annotate(
                    line,
                    (0, at),
                    (-5, LINE * ((len(lines) - 1) / 2 - number)),
                    xycoords=self.axes.get_yaxis_transform(),
                    textcoords="offset points",
                    ha="right",
                    va="center",
                    parse_math=False,
                )


def panels(rows: int, columns: int, paint: Paint) -> list[Panel]:
    """Panels row by row: each a figure of its own for a page, where they stack; together in one figure for a file."""
    if paint == IN_PAGE:
        figures = [Figure(figsize=ALONE, layout="constrained") for _ in range(rows * columns)]
        return [Panel(figure.add_subplot(), paint) for figure in figures]
    width, height = ALONE
    figure = Figure(figsize=(columns * width, rows * (height + 0.6)), layout="constrained")
    return [Panel(axes, paint) for axes in figure.subplots(rows, columns, squeeze=False).flat]
