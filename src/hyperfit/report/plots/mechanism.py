"""The findings of a mechanism study as plots: one function each, from mechanism.json to a figure."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from hyperfit.report.look import Paint
from hyperfit.report.plots.panels import Found, arms, bars, curve, level, panels, value


def temperature_curve(found: Found, paint: Paint) -> Figure:
    """Mean entropy of the base model against temperature, with the target and T*."""
    figure, (axes,) = panels(1, 1)
    axes.plot([float(at) for at in found["curve"]], list(found["curve"].values()), color=paint.base, marker="o")
    match = found["one"]
    axes.axhline(match["target"], color=paint.tuned, linewidth=0.9, linestyle="--")
    axes.annotate(
        f"hyperfitted model: {match['target']:.2f}",
        (0, match["target"]),
        (3, 3),
        color=paint.tuned,
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
    )
    if match["matched"]:
        axes.plot([match["temperature"]], [match["entropy"]], "s", color=paint.tuned, markersize=6)
        axes.annotate(
            f"T* = {match['temperature']:.3g}",
            (match["temperature"], match["entropy"]),
            (9, -12),
            textcoords="offset points",
            color=paint.tuned,
        )
    axes.set(xlabel="temperature of the base model", ylabel="mean entropy, nats", ylim=(0, None))
    return figure


def temperature_diversity(found: Found, paint: Paint) -> Figure:
    """Type-token ratio of every condition."""
    figure, (axes,) = panels(1, 1)
    conditions = list(found["diversity"])
    known = [found["diversity"][name]["ttr"] for name in conditions]
    colours = [
        paint.tuned if name.startswith("hyper") else paint.ink if name == "human" else paint.base for name in conditions
    ]
    places = range(len(conditions))
    axes.barh(
        places,
        [value(one) for one in known],
        color=colours,
        height=0.62,
        alpha=0.85,
        xerr=arms(known),
        error_kw={"elinewidth": 1, "ecolor": paint.ink},
    )
    axes.set_yticks(places, [name.replace("/", ", ") for name in conditions])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.grid(visible=False, axis="y")
    axes.set(xlabel="type–token ratio", xlim=(0, 1))
    return figure


def bias_curves(found: Found, paint: Paint) -> Figure:
    """Type-token ratio of the base model under every bias, against its strength."""
    figure, (axes,) = panels(1, 1)
    looks = [(paint.base, "-", "o"), (paint.base, "--", "s"), (paint.base, ":", "^"), (paint.base, "-.", "D")]
    alphas: list[str] = []
    for index, (name, biased) in enumerate(found["curves"].items()):
        alphas = sorted(biased["diversity"], key=float)
        known = [biased["diversity"][alpha]["ttr"] for alpha in alphas]
        colour, dashes, marker = (paint.ink, "--", "x") if name.startswith("random") else looks[index % len(looks)]
        curve(
            axes,
            range(len(alphas)),
            known,
            color=colour,
            linestyle=dashes,
            marker=marker,
            elinewidth=0.7,
            label="all tokens" if name == "all" else name,
        )
    level(axes, value(found["hyperfitted"]["ttr"]), "hyperfitted", paint.tuned)
    axes.set_xticks(range(len(alphas)), [f"{float(alpha):g}".replace("-", "−") for alpha in alphas])
    axes.set(xlabel="strength α of the bias (not to scale)", ylabel="type–token ratio", ylim=(0, 1))
    axes.legend(ncols=2, loc="upper left")
    return figure


def rank_panels(found: Found, paint: Paint) -> Figure:
    """Share of the tuned model's choices by their rank in the base model's order, and of overrides by place in text."""
    figure, axes = panels(1, 2)
    looks = (
        (-0.2, "free_running", "its own greedy texts", paint.tuned, "o"),
        (0.2, "teacher_forced", "human text", paint.base, "s"),
    )
    for offset, key, name, colour, marker in looks:
        bars(axes[0], found[key]["histogram"], offset, colour, name, paint)
        known = found[key]["stretches"]
        at = [100 * (part + 0.5) / len(known) for part in range(len(known))]
        curve(axes[1], at, known, factor=100, color=colour, marker=marker, elinewidth=0.8, label=name)
    axes[0].margins(y=0.15)
    bins = max((found[key]["bins"] for _, key, *_ in looks), key=len)
    axes[0].set_xticks(range(len(bins)), [str(start) if start < 1024 else f"{start // 1024}k" for start in bins])
    axes[0].tick_params(axis="x", labelsize=7.5)
    axes[0].set(title="% of choices", xlabel="rank under the base model, from … up (log scale)")
    axes[0].legend(loc="upper right")
    axes[1].set(title="choices that override the base's first, %", ylim=(0, 100))
    axes[1].set_xlabel("place in the continuation, % of its length")
    return figure


def intervention_curves(found: Found, paint: Paint) -> Figure:
    """Type-token ratio of the altered models: blocks swapped, update scaled, directions removed, spread undone."""
    figure, axes = panels(2, 2)
    looks = {
        "graft": (paint.tuned, "o", "-", "tuned blocks on the base"),
        "restore": (paint.base, "s", "-", "base blocks in the tuned"),
        "scale": (paint.tuned, "o", "-", ""),
        "keep": (paint.base, "^", ":", "keep the base's first"),
        "remove": (paint.tuned, "o", "-", "remove those that grew"),
        "random": (paint.ink, "x", "--", "remove random ones"),
        "random-variance": (paint.ink, "D", ":", "random, same variance"),
        "undo": (paint.tuned, "o", "-", "spread undone"),
        "turned": (paint.ink, "x", "--", "moved as far at random"),
    }
    ends = {name: value(found[name]["ttr"]) for name in ("base", "tuned")}
    for panel, title, xlabel, kinds in (
        (axes[0], "Last blocks swapped", "last blocks swapped", ("graft", "restore")),
        (axes[1], "Update of the late blocks scaled", "strength λ", ("scale",)),
        (
            axes[2],
            "Directions of the last block's output",
            "directions (log scale)",
            ("keep", "remove", "random", "random-variance"),
        ),
        (axes[3], "Added spread undone", "share undone, %", ("undo", "turned")),
    ):
        for kind in kinds:
            points = sorted((point for point in found["points"] if point["curve"] == kind), key=lambda p: p["amount"])
            if not points:
                continue
            colour, marker, dashes, label = looks[kind]
            unit = 100 if kind in ("undo", "turned") else 1
            curve(
                panel,
                [unit * point["amount"] for point in points],
                [point["ttr"] for point in points],
                color=colour,
                marker=marker,
                linestyle=dashes,
                elinewidth=0.8,
                label=label or None,
            )
        for name, height in ends.items():
            level(panel, height, name, paint.base if name == "base" else paint.tuned)
        panel.set_title(title)
        panel.set_xlabel(xlabel)
        panel.set_ylim(0, 1)
        if len(kinds) > 1:
            panel.legend(loc="upper left", ncols=2 if len(kinds) > 2 else 1, columnspacing=1, handlelength=1.8)
    ranks = sorted({point["amount"] for point in found["points"] if point["curve"] == "remove"})
    axes[2].set_xscale("log", base=2)
    axes[2].set_xticks(ranks, [f"{rank:g}" for rank in ranks])
    axes[2].minorticks_off()
    axes[0].set_ylabel("type–token ratio")
    axes[2].set_ylabel("type–token ratio")
    return figure


def encouragement_panels(found: Found, paint: Paint) -> Figure:
    """By epoch, bars where there are but two: human tokens among the best, their rank; the best's mass and entropy."""
    figure, axes = panels(2, 2)
    epochs = sorted(found["epochs"], key=int)
    draw = encouragement_bars if len(epochs) == 2 else encouragement_lines
    for panel, title, key, factor in (
        (axes[0], "human token among the k best, %", "within", 100),
        (axes[2], "probability of the k best, %", "mass", 100),
        (axes[3], "entropy among the k best, nats", "entropy", 1),
    ):
        sides = [dict(found["epochs"][epoch][key]) for epoch in epochs]
        if key == "entropy":  # of one token it is 0
            sides = [{k: one for k, one in side.items() if k != "1"} for side in sides]
        draw(sides, epochs, panel, factor, paint)
        panel.set_title(title)
        panel.set_ylim(0, 100 if factor == 100 else None)
    known = [found["epochs"][epoch]["log_rank"] for epoch in epochs]
    means = [math.exp(value(one)) for one in known]
    ends = [[math.exp(one["value"] if one[end] is None else one[end]) for one in known] for end in ("low", "high")]
    spread = [
        [mean - low for mean, low in zip(means, ends[0], strict=True)],
        [high - mean for mean, high in zip(means, ends[1], strict=True)],
    ]
    axes[1].errorbar(list(map(int, epochs)), means, yerr=spread, color=paint.tuned, marker="o", elinewidth=0.8)
    axes[1].set(title="rank of the human token, geometric mean", ylim=(0, None))
    for panel in axes if draw is encouragement_lines else axes[1:2]:
        panel.set_xlabel("epoch (0: base)")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes[0].legend(loc="upper left", ncols=3)
    return figure


def encouragement_bars(sides: list[Found], epochs: list[str], axes: Axes, factor: float, paint: Paint) -> None:
    """For each k the base and the tuned model."""
    for offset, side, colour, name in zip(
        (-0.2, 0.2), sides, (paint.base, paint.tuned), ("base", "hyperfitted"), strict=True
    ):
        bars(axes, list(side.values()), offset, colour, name, paint, factor)
    axes.set_xticks(range(len(sides[0])), [f"k = {k}" for k in sides[0]])


def encouragement_lines(sides: list[Found], epochs: list[str], axes: Axes, factor: float, paint: Paint) -> None:
    """For each k a line over the epochs."""
    looks = {"1": (paint.tuned, "o", "-"), "5": (paint.base, "s", "--"), "10": (paint.ink, "^", ":")}
    for k in sides[0]:
        colour, marker, dashes = looks[k]
        look: Found = {"color": colour, "marker": marker, "linestyle": dashes, "elinewidth": 0.8, "label": f"k = {k}"}
        curve(axes, list(map(int, epochs)), [side[k] for side in sides], factor=factor, **look)
