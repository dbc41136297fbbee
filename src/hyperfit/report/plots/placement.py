"""Where to adapt, as plots: from the study's part of mechanism.json to a figure."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from hyperfit.report.look import Paint
from hyperfit.report.plots.panels import Found, arms, curve, level, panels, value

LOOKS = {
    ("last", "rank"): ("o", "-", "adapters, equal rank"),
    ("last", "parameters"): ("s", "--", "adapters, equal parameters"),
    ("last", "time"): ("^", ":", "adapters, equal time"),
    ("late-full", "rank"): ("D", "-", "all parameters"),
    ("late-full", "time"): ("v", ":", "all parameters, equal time"),
}
"""What learns in the last blocks and what is equal → marker, dashes and name of its curve."""


def placement_panels(found: Found, paint: Paint) -> Figure:
    """TTR, training loss and time by the number of last blocks, and TTR by place."""
    figure, axes = panels(2, 2)
    colours = dict(zip(LOOKS, (paint.tuned, paint.tuned, paint.tuned, paint.ink, paint.ink), strict=True))
    for (place, equal), (marker, dashes, name) in LOOKS.items():
        swept = sweep(found, equal, place)
        counts = [len(trial["blocks"]) for trial in swept]
        known = [trial["measures"]["ttr"] for trial in swept]
        look: Found = {"marker": marker, "linestyle": dashes, "color": colours[place, equal]}
        curve(axes[0], counts, known, elinewidth=0.8, label=name, **look)
        axes[2].plot(counts, [trial["train_loss"] for trial in swept], **look)
        axes[3].plot(counts, [trial["seconds"] for trial in swept], **look)
    places(found, axes[1], paint)
    level(axes[0], value(found["base"]["ttr"]), "base", paint.base)
    axes[0].set(title="Type–token ratio by number of last blocks", ylim=(0, 1))
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3)
    axes[2].set(title="Training loss at the end, nats per token", yscale="log", xlabel="last blocks that learn")
    axes[2].yaxis.set_major_formatter("{x:g}")
    axes[2].yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    axes[2].yaxis.set_minor_formatter("{x:g}")
    axes[3].set(title="Seconds of training", ylim=(0, None), xlabel="last blocks that learn")
    for panel in (axes[0], axes[2], axes[3]):
        panel.set_xticks(range(1, found["depth"] + 1, max(1, -(-found["depth"] // 12))))
    return figure


def sweep(found: Found, equal: str, place: str = "last") -> list[Found]:
    """The trials in last blocks with so much equal, the reference among them, by their number; without diverged ones.

    place: last for adapters; late-full for all parameters, of the whole model where they are those of all blocks.
    """
    reference, alike = found["trials"][0], (place,) if place == "last" else (place, "full")
    swept = [
        trial
        for trial in found["trials"]
        if trial["place"] in alike and (trial["equal"] == equal or trial is reference)
    ]
    return sorted((trial for trial in swept if trial["measures"]), key=lambda trial: len(trial["blocks"]))


def places(found: Found, axes: Axes, paint: Paint) -> None:
    """Bars of the ratio by place, at equal rank and at equal time, which for the reference are one."""
    late, depth = found["late"], found["depth"]
    reference = found["trials"][0]
    kinds = [("first", late), ("middle", late), ("last", late), ("last", depth), ("late-full", late), ("full", depth)]
    kinds = list(dict.fromkeys(kinds))
    for offset, equal, colour in ((-0.2, "rank", paint.tuned), (0.2, "time", paint.ink)):
        at, known = [], []
        for spot, kind in enumerate(kinds):
            for trial in found["trials"]:
                alike = (trial["place"], len(trial["blocks"])) == kind and (
                    trial["equal"] == equal or trial is reference
                )
                if alike and trial["measures"]:
                    at.append(spot + offset)
                    known.append(trial["measures"]["ttr"])
        if not at:
            continue
        axes.bar(
            at,
            [value(one) for one in known],
            width=0.38,
            color=colour,
            alpha=0.85,
            label=f"equal {equal}",
            yerr=arms(known),
            error_kw={"elinewidth": 0.9, "ecolor": paint.ink},
        )
    names = {
        ("last", depth): f"all {depth}",
        ("late-full", late): f"last {late}\nwhole",
        ("full", depth): "whole\nmodel",
    }
    axes.set_xticks(range(len(kinds)), [names.get(kind, f"{kind[0]} {kind[1]}") for kind in kinds])
    level(axes, value(found["base"]["ttr"]), "base", paint.base)
    axes.set(title="Type–token ratio by place", ylim=(0, 1))
    legend(axes)


def legend(axes: Axes) -> None:
    """Names of what is drawn, if anything is."""
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="upper left")
