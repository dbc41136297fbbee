"""What happens layer by layer, as plots: geometry and lens, from mechanism.json to a figure."""

from matplotlib.figure import Figure

from hyperfit.report.look import Paint
from hyperfit.report.plots.panels import Found, curve, panels, readable, value


def geometry_panels(found: Found, paint: Paint) -> Figure:
    """Cosine, relative distance, dimensions and their change at every point; what lies after the norm stands apart."""
    figure, axes = panels(2, 2)
    layers = found["layers"]
    names = [layer["point"] for layer in layers]
    rows = (
        (axes[0], "cosine", (("cosine", paint.base, ""),)),
        (axes[1], "distance / norm of the base's state", (("relative_l2", paint.base, ""),)),
        (axes[2], "participation ratio", (("dim_base", paint.base, "base"), ("dim_tuned", paint.tuned, "tuned"))),
        (axes[3], "change of it (ΔDim)", (("delta_dim", paint.tuned, ""),)),
    )
    inside = [place for place, name in enumerate(names) if name != "norm"]
    for panel, title, measures in rows:
        for measure, colour, label in measures:
            known = [layer[measure] for layer in layers]
            look: Found = {"color": colour, "elinewidth": 0.9}
            curve(panel, inside, known[: len(inside)], marker="o", label=label or None, **look)
            if len(inside) < len(names):
                curve(
                    panel,
                    [len(inside)],
                    known[-1:],
                    marker="s",
                    markersize=6,
                    markerfacecolor=paint.page,
                    linestyle="",
                    **look,
                )
        if len(inside) < len(names):
            panel.axvline(len(inside) - 0.5, color=paint.rule, linewidth=0.8, linestyle=":")
        places = list(range(0, len(inside), max(1, -(-len(inside) // 7))))
        if len(inside) < len(names):  # its name needs the room of the block before it
            places = [place for place in places if place < len(inside) - 1] + [len(inside)]
        panel.set_xticks(places, [short_point(names[place]) for place in places])
        panel.set_title(title)
    axes[0].set_ylim(min(0, *(value(layer["cosine"]) for layer in layers)), 1.05)
    axes[2].legend(loc="upper left")
    for panel in axes[2:]:
        panel.set_xlabel("output of block")
    return figure


def short_point(point: str) -> str:
    """``emb``, a block's number, or ``norm``."""
    return {"embedding": "emb", "norm": "norm"}.get(point, point.removeprefix("block "))


def lens_summary(found: Found, paint: Paint) -> Figure:
    """By block: share of positions that have settled, entropy of what a layer would say, divergence of the sides."""
    figure, axes = panels(1, 3)
    by_point, places = found["by_point"], range(len(found["points"]))
    for panel, title, measures in (
        (
            axes[0],
            "final choice settled, %",
            (("settled_base", paint.base, "base"), ("settled_tuned", paint.tuned, "tuned")),
        ),
        (axes[1], "entropy, nats", (("entropy_base", paint.base, "base"), ("entropy_tuned", paint.tuned, "tuned"))),
        (axes[2], "KL(tuned ‖ base), nats", (("divergence", paint.tuned, ""),)),
    ):
        factor = 100 if "%" in title else 1
        for measure, colour, label in measures:
            look: Found = {"color": colour, "marker": "o", "elinewidth": 0.9, "label": label or None}
            curve(panel, places, by_point[measure], factor=factor, **look)
        shown = list(places)[:: max(1, -(-len(places) // 7))]
        panel.set_xticks(shown, [short_point(found["points"][place]) for place in shown])
        panel.set_title(title)
        panel.set_xlabel("output of block")
        panel.set_ylim(0, None)
    axes[0].legend(loc="upper left")
    return figure


def lens_grid(found: Found, paint: Paint) -> Figure:
    """What each layer of both sides would say at some positions of one text, the surer the more strongly coloured."""
    points, width = found["points"], len(found["written"])
    figure = Figure(figsize=(8.6, 0.36 * (len(points) + 1) * 2 / 1.25), layout="constrained")
    for axes, side, colour in zip(figure.subplots(2, 1), ("base", "tuned"), (paint.base, paint.tuned), strict=True):
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
        axes.set_ylim(-0.5, len(points) - 0.5)
        axes.set_yticks(range(len(points)), [short_point(point) for point in points], fontsize=7)
        axes.set_xticks([place + 0.48 for place in range(width)])
        labels = axes.set_xticklabels([readable(token, 9) for token in found["written"]], fontsize=6.5)
        for label in labels:
            label.set_parse_math(False)
        axes.set_ylabel("block")
        axes.set_title(f"{side}: the likeliest token after each block; below, what the tuned model wrote")
        axes.spines["bottom"].set_visible(False)
        axes.tick_params(length=0)
    return figure
