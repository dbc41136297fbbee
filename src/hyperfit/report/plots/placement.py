"""Where to adapt, as plots: from the study's part of mechanism.json to a figure."""

from matplotlib.ticker import LogLocator

from hyperfit.report.look import CONDITIONS, SERIES, Paint
from hyperfit.report.plots.marks import Found, exact, value
from hyperfit.report.plots.panels import Panel, panels

LOOKS = {
    ("last", "rank"): ("adapters, equal rank", CONDITIONS["hyperfitted"]),
    ("last", "parameters"): ("adapters, equal parameters", SERIES[0]),
    ("last", "time"): ("adapters, equal time", SERIES[1]),
    ("late-full", "rank"): ("all parameters", SERIES[2]),
    ("late-full", "time"): ("all parameters, equal time", SERIES[3]),
}
"""What learns in the last blocks and what is equal → name of its curve, and how it is drawn."""


def placement_panels(found: Found, paint: Paint) -> list[Panel]:
    """TTR, training loss and time by the number of last blocks, and TTR by place."""
    ratio, where, loss, time = drawn = panels(2, 2, paint)
    for panel, title, low, high in (
        (ratio, "type–token ratio by number of last blocks", 0, 1),
        (loss, "training loss at the end, nats per token", None, None),
        (time, "seconds of training", 0, None),
    ):
        panel.describe(title, "last blocks that learn", low=low, high=high)
    for (place, equal), (name, look) in LOOKS.items():
        swept = sweep(found, equal, place)
        counts = [len(trial["blocks"]) for trial in swept]
        ratio.curve(name, counts, [trial["measures"]["ttr"] for trial in swept], look)
        loss.curve(name, counts, [exact(trial["train_loss"]) for trial in swept], look)
        time.curve(name, counts, [exact(trial["seconds"]) for trial in swept], look)
    places(found, where)
    for panel in (ratio, where):
        panel.level("base", value(found["base"]["ttr"]), CONDITIONS["base"])
    loss.axes.set_yscale("log")
    loss.axes.yaxis.set_major_formatter("{x:g}")
    loss.axes.yaxis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
    loss.axes.yaxis.set_minor_formatter("{x:g}")
    return drawn


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


def places(found: Found, panel: Panel) -> None:
    """Bars of the ratio by place, at equal rank and at equal time, which for the reference are one."""
    late, depth = found["late"], found["depth"]
    reference = found["trials"][0]
    kinds = [("first", late), ("middle", late), ("last", late), ("last", depth), ("late-full", late), ("full", depth)]
    kinds = list(dict.fromkeys(kinds))
    names = {
        ("last", depth): f"all\n{depth}",
        ("late-full", late): f"last {late}\nwhole",
        ("full", depth): "whole\nmodel",
    }
    written = [names.get(kind, f"{kind[0]}\n{kind[1]}") for kind in kinds]
    panel.describe("type–token ratio by place", "blocks that learn", names=written, low=0, high=1)
    for beside, equal in ((-0.2, "rank"), (0.2, "time")):
        at, known = [], []
        for spot, kind in enumerate(kinds):
            for trial in found["trials"]:
                alike = (trial["place"], len(trial["blocks"])) == kind and (
                    trial["equal"] == equal or trial is reference
                )
                if alike and trial["measures"]:
                    at.append(spot)
                    known.append(trial["measures"]["ttr"])
        panel.bars(f"equal {equal}", at, known, LOOKS["last", equal][1], beside=beside)
