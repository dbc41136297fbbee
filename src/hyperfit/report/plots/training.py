"""The curves of training as inline SVG that takes its colours from the page, each with its values below it."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hyperfit.metrics.copying.memorisation import PAPER_OVERLAP
from hyperfit.report.look import CONDITIONS, IN_PAGE, LIMIT, SERIES, Look, look_of
from hyperfit.report.plots.labels import readable
from hyperfit.report.plots.marks import exact
from hyperfit.report.plots.panels import Panel, panels, style
from hyperfit.report.plots.values import shown

LONG_NAME = 40
"""Letters of a run's name above which a picture has only its end."""
Points = list[tuple[int, float]]


def drawn(name: str, description: str, draw: Callable[[Panel], None], of: str = "") -> str:
    """A panel as HTML: the picture, then its values. of: the run, where a page has those of several."""
    with style(IN_PAGE):
        (panel,) = panels(1, 1, IN_PAGE)
        draw(panel)
        return str(shown(panel, name, f"{description}, {of}" if of else description))


def loss_panel(epochs: Sequence[dict[str, Any]], goal: float | None, of: str = "") -> str:
    """Training and validation loss (nats per token) by epoch, and the stop goal, as HTML.

    epochs: the epoch events of a run. Returns "" if no loss is known.
    """
    training, validation = points(epochs, "train_loss"), points(epochs, "val_loss")
    if not training and not validation:
        return ""

    def draw(panel: Panel) -> None:
        top = 1.08 * max(value for _, value in [*training, *validation, (0, goal or 0)]) or 1
        panel.describe("loss, nats per token", "epoch", low=0, high=top)
        line(panel, "validation", validation, SERIES[-1])
        line(panel, "training", training, CONDITIONS["hyperfitted"])
        if goal is not None:
            panel.level(f"goal {goal:g}", goal, LIMIT)

    return drawn("loss", "Training and validation loss by epoch", draw, of)


def ttr_panel(epochs: Sequence[dict[str, Any]], of: str = "", *, pictures: bool = False) -> str:
    """Type-token ratio of greedy text by epoch, and that of the same contexts' human text; "" if none is known.

    pictures: what is written are completions of these; of their many pixels few colours differ, so that the axis ends
    where the ratios do.
    """
    written, what, human = (
        ("greedy completion", "greedy completions", "original") if pictures else ("greedy text", "greedy text", "human")
    )
    measured, same = points(epochs, "ttr"), points(epochs, "human_ttr")
    if not measured:
        return ""

    def draw(panel: Panel) -> None:
        top = 1.15 * max(value for _, value in [*measured, *same[:1]]) if pictures else 1
        panel.describe("type–token ratio", "epoch", low=0, high=top)
        line(panel, written, measured, CONDITIONS["hyperfitted"])
        if same:
            panel.level(human, same[0][1], CONDITIONS["human"])

    return drawn("ttr", f"Type-token ratio of {what} by epoch", draw, of)


def overlap_panel(epochs: Sequence[dict[str, Any]]) -> str:
    """Mean longest run of training data in greedy text by epoch, tokens, and the paper's; "" if unknown."""
    measured = points(epochs, "longest_overlap")
    if not measured:
        return ""

    def draw(panel: Panel) -> None:
        top = 1.15 * max(PAPER_OVERLAP, *(tokens for _, tokens in measured))
        panel.describe("longest run, tokens", "epoch", low=0, high=top)
        line(panel, "greedy text", measured, CONDITIONS["hyperfitted"])
        panel.level(f"Carlsson et al. {PAPER_OVERLAP:g}", PAPER_OVERLAP, LIMIT)

    return drawn("overlap", "Longest run of training data in greedy text by epoch", draw)


def curves_panel(runs: Mapping[str, Sequence[Mapping[str, Any]]], key: str, title: str) -> str:
    """One number by epoch, a curve a run with a mark and dashes of its own; "" if none measured it.

    runs: name → epoch events. A panel holds as many runs as there are looks; of more, several panels follow.
    """
    measured = {name: points(epochs, key) for name, epochs in runs.items()}
    measured = {name: known for name, known in measured.items() if known}
    looks, drawings = (CONDITIONS["hyperfitted"], *SERIES, CONDITIONS["base"]), list[str]()
    top = (
        1.0 if "ratio" in title else 1.08 * max((value for known in measured.values() for _, value in known), default=1)
    )
    for start in range(0, len(measured), len(looks)):
        part = list(measured)[start : start + len(looks)]

        def draw(panel: Panel, start: int = start, part: list[str] = part) -> None:
            panel.describe(title, "epoch", low=0, high=top or 1)
            for place, (name, look) in enumerate(zip(part, looks, strict=False), start=start + 1):
                at = [epoch for epoch, _ in measured[name]]
                panel.curve(run_name(name, place), at, [exact(value) for _, value in measured[name]], look)

        drawings.append(drawn(f"{key}-{start}", f"{title[:1].upper()}{title[1:]} by epoch", draw))
    return "".join(drawings)


def run_name(name: str, place: int) -> str:
    """A run as a picture names it: by its place and the end of its name, where that is long."""
    shown = readable(name, len(name) + 1)
    return shown if len(shown) <= LONG_NAME else f"run {place}: …{shown[-LONG_NAME + 8 :]}"


POSITIONS = {"base/greedy": "base, greedy", "hyperfitted/greedy": "hyperfitted, greedy", "human": "human"}
"""Conditions that are drawn by position, and their names."""


def position_panel(conditions: Mapping[str, Any]) -> str:
    """Type-token ratio of the tokens before each position of the texts, as HTML; "" for fewer than two positions.

    conditions: those of an evaluation, of which the greedy ones and the human one are drawn.
    """
    lines = {
        name: conditions[name]["ttr_by_position"]
        for name in POSITIONS
        if conditions.get(name, {}).get("ttr_by_position")
    }
    if not any(len(positions) > 1 for positions in lines.values()):
        return ""

    def draw(panel: Panel) -> None:
        panel.describe("type–token ratio", "token of the continuation", low=0, high=1)
        for name, positions in lines.items():
            ends = [int(one["end"]) for one in positions]
            panel.curve(POSITIONS[name], ends, positions, look_of(name), ended=True)

    return drawn("position", "Type-token ratio by position in the continuation", draw)


def line(panel: Panel, name: str, measured: Points, look: Look) -> None:
    """A curve of numbers without intervals, named at its right end."""
    panel.curve(name, [at for at, _ in measured], [exact(value) for _, value in measured], look, ended=True)


def points(epochs: Sequence[Mapping[str, Any]], name: str) -> Points:
    """(epoch, value) of the epochs in which a number was measured."""
    known = [(int(event["epoch"]), event.get(name)) for event in epochs]
    return [(epoch, float(value)) for epoch, value in known if value is not None and math.isfinite(value)]
