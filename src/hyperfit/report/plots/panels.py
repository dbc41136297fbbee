"""What the plots of a mechanism study are made of: colours, numbers of mechanism.json, panels, labels."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from matplotlib import font_manager, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hyperfit.report.look import BASE, IN_PAGE, INK, PAGE, RULE, STYLE, TUNED, Paint

Found = dict[str, Any]
"""One study's part of mechanism.json."""


@contextmanager
def style(paint: Paint) -> Iterator[None]:
    """Draw in these colours inside the block; in files, letters are shapes that need no font."""
    own = dict(zip((INK, RULE, BASE, TUNED, PAGE), vars(paint).values(), strict=True))
    changes: dict[Any, Any] = {key: own.get(value, value) for key, value in STYLE.items()}
    changes |= {"axes.titlesize": 9, "axes.titlelocation": "left", "legend.frameon": False, "legend.fontsize": 8}
    with rc_context(changes if paint == IN_PAGE else {**changes, "svg.fonttype": "path"}):
        yield


def value(known: Found) -> float:
    """The value of an estimate, NaN where it is undefined."""
    return math.nan if known["value"] is None else float(known["value"])


def arms(known: Sequence[Found]) -> tuple[list[float], list[float]]:
    """Lengths of the error bars below and above; 0 where there is no interval."""
    below = [0.0 if one["low"] is None else max(0.0, one["value"] - one["low"]) for one in known]
    above = [0.0 if one["high"] is None else max(0.0, one["high"] - one["value"]) for one in known]
    return below, above


def bars(
    axes: Axes, known: Sequence[Found], offset: float, colour: str, name: str, paint: Paint, factor: float = 100
) -> None:
    """A bar an estimate with its interval, ``offset`` beside the whole numbers of the axis; shares in percent."""
    axes.bar(
        [place + offset for place in range(len(known))],
        [factor * value(one) for one in known],
        width=0.38,
        color=colour,
        alpha=0.85,
        label=name,
        yerr=[[factor * arm for arm in side] for side in arms(known)],
        error_kw={"elinewidth": 0.9, "ecolor": paint.ink},
    )


def curve(axes: Axes, at: Sequence[float], known: Sequence[Found], *, factor: float = 1, **look: Any) -> None:
    """A line through estimates with their intervals, times ``factor``; look: as errorbar of matplotlib takes it."""
    axes.errorbar(
        at,
        [factor * value(one) for one in known],
        yerr=[[factor * arm for arm in side] for side in arms(known)],
        **look,
    )


def panels(rows: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure of panels, at the size a telephone shows one, or a page two beside each other."""
    size = {1: (4.6, 3.0), 2: (8.0, 2.9 * rows), 3: (9.0, 2.7)}[columns]
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, list(axes.flat)


def level(axes: Axes, height: float, name: str, colour: str) -> None:
    """A thin dashed line across, with its name behind the right end; nothing for NaN."""
    if math.isnan(height):
        return
    axes.axhline(height, color=colour, linewidth=0.8, linestyle=(0, (4, 3)))
    axes.annotate(
        name,
        (1, height),
        (3, 0),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        va="center",
        color=colour,
        fontsize=8,
        annotation_clip=False,
    )


@cache
def _glyphs() -> frozenset[int]:
    """Characters of the font in which plots are set."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def readable(token: str, most: int) -> str:
    """A token as a label: line ends shown, at most ``most`` characters, a box for what the font lacks."""
    text = token.strip(" ").replace("\n", "↵") or "␣"
    text = "".join(letter if letter.isprintable() and ord(letter) in _glyphs() else "□" for letter in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
