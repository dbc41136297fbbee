"""What happens layer by layer, as plots: geometry and lens, from mechanism.json to panels."""

from hyperfit.report.look import CONDITIONS, SERIES, Paint
from hyperfit.report.plots.labels import readable
from hyperfit.report.plots.marks import Found, value
from hyperfit.report.plots.panels import Panel, panels

BASE, TUNED = CONDITIONS["base"], CONDITIONS["hyperfitted"]
BETWEEN = SERIES[0]
"""Of what compares the two models and is of neither."""


def geometry_panels(found: Found, paint: Paint) -> list[Panel]:
    """Cosine, relative distance, dimensions and their change at every point; what lies after the norm stands apart."""
    cosine, distance, dimensions, change = drawn = panels(2, 2, paint)
    layers = found["layers"]
    names = [layer["point"] for layer in layers]
    inside = [place for place, name in enumerate(names) if name != "norm"]
    for panel, title, measures in (
        (cosine, "cosine of the two states", (("cosine", "cosine", BETWEEN),)),
        (distance, "distance / norm of the base's state", (("relative_l2", "distance", BETWEEN),)),
        (dimensions, "participation ratio", (("dim_base", "base", BASE), ("dim_tuned", "hyperfitted", TUNED))),
        (change, "change of it (ΔDim)", (("delta_dim", "change", BETWEEN),)),
    ):
        panel.describe(title, "output of block", names=[short_point(name) for name in names])
        for measure, name, look in measures:
            known = [layer[measure] for layer in layers]
            panel.curve(name, inside, known[: len(inside)], look)
            if len(inside) < len(names):
                panel.curve(name, [len(inside)], known[-1:], look, joined=False)
        if len(inside) < len(names):
            panel.axes.axvline(len(inside) - 0.5, color=paint.rule, linewidth=0.8, linestyle=":")
    cosine.limits = (min(0, *(value(layer["cosine"]) for layer in layers)), 1.05)
    return drawn


def short_point(point: str) -> str:
    """``emb``, a block's number, or ``norm``."""
    return {"embedding": "emb", "norm": "norm"}.get(point, point.removeprefix("block "))


def lens_summary(found: Found, paint: Paint) -> list[Panel]:
    """By block: share of positions that have settled, entropy of what a layer would say, divergence of the sides."""
    drawn = panels(1, 3, paint)
    by_point, places = found["by_point"], range(len(found["points"]))
    for panel, title, factor, measures in zip(
        drawn,
        ("final choice settled, %", "entropy, nats", "KL(hyperfitted ‖ base), nats"),
        (100, 1, 1),
        (
            (("settled_base", "base", BASE), ("settled_tuned", "hyperfitted", TUNED)),
            (("entropy_base", "base", BASE), ("entropy_tuned", "hyperfitted", TUNED)),
            (("divergence", "divergence", BETWEEN),),
        ),
        strict=True,
    ):
        panel.describe(title, "output of block", names=[short_point(point) for point in found["points"]], low=0)
        for measure, name, look in measures:
            panel.curve(name, places, by_point[measure], look, factor=factor)
    return drawn


def lens_grid(found: Found, paint: Paint) -> list[Panel]:
    """What each layer of both sides would say at some positions of one text, the surer the more strongly coloured."""
    points, width = found["points"], len(found["written"])
    drawn = panels(2, 1, paint)
    drawn[0].figure.set_size_inches(8.6, 0.36 * (len(points) + 1) * 2 / 1.25)
    for panel, side, colour in zip(drawn, ("base", "tuned"), (paint.base, paint.tuned), strict=True):
        axes = panel.axes
        axes.grid(visible=False)
        for row, (tokens, sure) in enumerate(zip(found[side]["tokens"], found[side]["probability"], strict=True)):
            for column, (token, probability) in enumerate(zip(tokens, sure, strict=True)):
                axes.barh(row, 0.96, left=column, height=0.94, color=colour, alpha=0.06 + 0.6 * probability)
                axes.text(
                    column + 0.48,
                    row,
                    readable(token, 9),
                    fontsize=6.2,
                    ha="center",
                    va="center",
                    parse_math=False,
                    color=paint.ink,
                )
        axes.set_xlim(0, width)
        panel.limits = (-0.5, len(points) - 0.5)
        axes.set_yticks(range(len(points)), [short_point(point) for point in points], fontsize=7)
        axes.set_xticks([place + 0.48 for place in range(width)])
        labels = axes.set_xticklabels([readable(token, 9) for token in found["written"]], fontsize=6.5)
        for label in labels:
            label.set_parse_math(False)
        axes.set_ylabel("block")
        axes.set_title(f"{side}: the likeliest token after each block; below, what the tuned model wrote")
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0)
    return drawn
