"""The curves of training as inline SVG that takes its colours from the page."""

import math
import re
from collections.abc import Mapping, Sequence
from io import StringIO
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperfit.metrics.copying.memorisation import PAPER_OVERLAP
from hyperfit.report.look import BASE, INK, PAGE, PAINT, STYLE, TUNED

Points = list[tuple[int, float]]


def loss_panel(epochs: Sequence[dict[str, Any]], goal: float | None) -> str:
    """Training and validation loss (nats per token) by epoch, and the stop goal, as an <svg> element.

    epochs: the epoch events of a run. Returns "" if no loss is known.
    """
    training, validation = points(epochs, "train_loss"), points(epochs, "val_loss")
    if not training and not validation:
        return ""
    with rc_context(STYLE):
        figure, axes = panel()
        top = 1.08 * max(value for _, value in [*training, *validation, (0, goal or 0)]) or 1
        axes.set_ylim(0, top)
        apart = (validation[-1][1] - training[-1][1]) / top if training and validation else 1
        lift = math.copysign(5, apart) if abs(apart) < 0.08 else 0
        curve(axes, validation, BASE, "s", "validation", lift)
        curve(axes, training, TUNED, "o", "training", -lift)
        if goal is not None:
            level(axes, goal, "-", f"goal {goal:g}")
        return svg(figure, "loss", "Training and validation loss by epoch")


def ttr_panel(epochs: Sequence[dict[str, Any]], human: float | None) -> str:
    """Type-token ratio of greedy text by epoch, and that of human text, as an <svg>; "" if none is known."""
    measured = points(epochs, "ttr")
    if not measured:
        return ""
    with rc_context(STYLE):
        figure, axes = panel()
        curve(axes, measured, TUNED, "o", "greedy text")
        axes.set_ylim(0, 1)
        if human is not None and math.isfinite(human):
            level(axes, human, "--", f"human {human:.3f}".replace("0.", ".", 1))
        return svg(figure, "ttr", "Type-token ratio of greedy text by epoch")


def overlap_panel(epochs: Sequence[dict[str, Any]]) -> str:
    """Mean longest run of training data in greedy text by epoch, tokens, and the paper's; an <svg>, "" if unknown."""
    measured = points(epochs, "longest_overlap")
    if not measured:
        return ""
    with rc_context(STYLE):
        figure, axes = panel()
        curve(axes, measured, TUNED, "o", "greedy text")
        axes.set_ylim(0, 1.15 * max(PAPER_OVERLAP, *(tokens for _, tokens in measured)))
        level(axes, PAPER_OVERLAP, "--", f"Carlsson et al. {PAPER_OVERLAP:g}")
        return svg(figure, "overlap", "Longest run of training data in greedy text by epoch")


POSITIONS = {
    "base/greedy": (BASE, "s", "base, greedy"),
    "hyperfitted/greedy": (TUNED, "o", "hyperfitted, greedy"),
    "human": (INK, "^", "human"),
}
"""Conditions that are drawn by position: colour, mark, name."""


def position_panel(conditions: Mapping[str, Any]) -> str:
    """Type-token ratio of the tokens before each position of the texts, as an <svg>; "" for fewer than two positions.

    conditions: those of an evaluation, of which the greedy ones and the human one are drawn.
    """
    lines = {
        name: [(int(point["end"]), float(point["value"])) for point in conditions[name].get("ttr_by_position", ())]
        for name in POSITIONS
        if name in conditions
    }
    if not any(len(line) > 1 for line in lines.values()):
        return ""
    with rc_context(STYLE):
        figure, axes = panel()
        axes.set_xlabel("token of the continuation")
        axes.set_ylim(0, 1)
        last = sorted((line[-1][1], name) for name, line in lines.items() if line)
        for place, (height, name) in enumerate(last):
            near = [other for other, _ in last[:place] + last[place + 1 :] if abs(other - height) < 0.08]
            lift = 5 * sum(math.copysign(1, height - other) for other in near)
            colour, marker, label = POSITIONS[name]
            curve(axes, lines[name], colour, marker, label, lift)
        return svg(figure, "position", "Type-token ratio by position in the continuation")


def points(epochs: Sequence[dict[str, Any]], name: str) -> Points:
    """(epoch, value) of the epochs in which a number was measured."""
    known = [(int(event["epoch"]), event.get(name)) for event in epochs]
    return [(epoch, float(value)) for epoch, value in known if value is not None and math.isfinite(value)]


def panel() -> tuple[Figure, Axes]:
    """An empty panel with epochs along the bottom, drawn at the size a telephone shows it."""
    figure = Figure(figsize=(4.2, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(x=0.03)
    return figure, axes


def curve(axes: Axes, values: Points, colour: str, marker: str, name: str, lift: float = 0) -> None:
    """A line with a mark at every point, and its name at the right end, raised by ``lift`` points."""
    if not values:
        return
    axes.plot(*zip(*values, strict=True), color=colour, marker=marker, markerfacecolor=PAGE, markevery=0.02)
    place: dict[str, Any] = {"xycoords": axes.get_yaxis_transform(), "textcoords": "offset points", "va": "center"}
    axes.annotate(name, (1, values[-1][1]), (4, lift), color=colour, annotation_clip=False, **place)


def level(axes: Axes, height: float, dashes: str, name: str) -> None:
    """A thin horizontal line with its name above the left end."""
    axes.axhline(height, color=INK, linewidth=0.8, linestyle=dashes)
    axes.annotate(
        name, (0, height), (2, 2), xycoords=axes.get_yaxis_transform(), textcoords="offset points", va="bottom"
    )


def svg(figure: Figure, name: str, description: str) -> str:
    """The figure as an <svg> element for a page: equal input, equal bytes; ids that begin with ``name``."""
    file = StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    drawn = file.getvalue()
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawn)
    for colour, paint in PAINT.items():
        drawn = drawn.replace(colour, paint)
    opening = re.sub(r' (width|height|version|xmlns(:xlink)?)="[^"]*"', "", drawn[: drawn.index(">")])
    return f'{opening} role="img" aria-label="{description}"{drawn[drawn.index(">") :]}'
