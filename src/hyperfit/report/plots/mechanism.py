"""The findings of a mechanism study as plots: one function each, from mechanism.json to panels."""

import math

from hyperfit.numbers import figures
from hyperfit.report.look import CONDITIONS, SERIES, Paint
from hyperfit.report.plots.marks import Found, exact, value
from hyperfit.report.plots.panels import Panel, panels

BASE, TUNED, HUMAN = CONDITIONS.values()
RATIO = "type–token ratio"


def temperature_curve(found: Found, paint: Paint) -> list[Panel]:
    """Mean entropy of the base model against temperature, with the target and T*."""
    (panel,) = panels(1, 1, paint)
    panel.describe("mean entropy, nats", "temperature of the base model", low=0)
    temperatures = [float(at) for at in found["curve"]]
    panel.curve("base", temperatures, list(map(exact, found["curve"].values())), BASE)
    match = found["one"]
    panel.level("hyperfitted", match["target"], TUNED)
    if match["matched"]:
        panel.curve("base at T*", [match["temperature"]], [exact(match["entropy"])], SERIES[0], joined=False)
    return [panel]


def temperature_diversity(found: Found, paint: Paint) -> list[Panel]:
    """Type-token ratio of every condition."""
    (panel,) = panels(1, 1, paint)
    conditions = list(found["diversity"])
    panel.describe(RATIO, "decoding", names=[name.replace("/", ", ") for name in conditions], low=0, high=1, lying=True)
    for side, look in CONDITIONS.items():
        at = [place for place, name in enumerate(conditions) if name.split("/")[0] == side]
        panel.bars(side, at, [found["diversity"][conditions[place]]["ttr"] for place in at], look)
    return [panel]


def bias_curves(found: Found, paint: Paint) -> list[Panel]:
    """Type-token ratio of the base model under every bias, against its strength."""
    (panel,) = panels(1, 1, paint)
    alphas = sorted({alpha for one in found["curves"].values() for alpha in one["diversity"]}, key=float)
    names = [figures(float(alpha)) for alpha in alphas]
    panel.describe(RATIO, "strength α of the bias (not to scale)", names=names, low=0, high=1)
    for index, (name, biased) in enumerate(found["curves"].items()):
        at = [place for place, alpha in enumerate(alphas) if alpha in biased["diversity"]]
        known = [biased["diversity"][alphas[place]]["ttr"] for place in at]
        panel.curve("all tokens" if name == "all" else name, at, known, SERIES[index % len(SERIES)])
    panel.level("hyperfitted", value(found["hyperfitted"]["ttr"]), TUNED)
    return [panel]


def rank_panels(found: Found, paint: Paint) -> list[Panel]:
    """Share of the tuned model's choices by their rank in the base model's order, and of overrides by place in text."""
    shares, overrides = drawn = panels(1, 2, paint)
    texts = (("free_running", "on its own greedy texts", TUNED), ("teacher_forced", "on human text", HUMAN))
    bins = max((found[key]["bins"] for key, *_ in texts), key=len)
    names = [str(start) if start < 1024 else f"{start // 1024}k" for start in bins]
    shares.describe("choices, %", "rank under the base model, from … up (log scale)", names=names)
    overrides.describe("choices that override the base's first, %", "place in the continuation, % of its length",
                       low=0, high=100)  # fmt: skip
    for beside, (key, name, look) in zip((-0.2, 0.2), texts, strict=True):
        histogram, stretches = found[key]["histogram"], found[key]["stretches"]
        shares.bars(name, range(len(histogram)), histogram, look, beside=beside, factor=100)
        at = [100 * (part + 0.5) / len(stretches) for part in range(len(stretches))]
        overrides.curve(name, at, stretches, look, factor=100)
    return drawn


INTERVENTIONS = (
    (
        "last blocks swapped",
        "last blocks swapped",
        1,
        {"graft": "tuned blocks on the base", "restore": "base blocks in the tuned"},
    ),
    ("update of the late blocks scaled", "strength λ", 1, {"scale": "update scaled"}),
    (
        "directions of the last block's output",
        "directions",
        1,
        {
            "keep": "keep the base's first",
            "remove": "remove those that grew",
            "random": "remove random ones",
            "random-variance": "random, same variance",
        },
    ),
    ("added spread undone", "share undone, %", 100, {"undo": "spread undone", "turned": "moved as far at random"}),
)
"""What is altered, its amount and the factor of that, and the names of the curves."""


def intervention_curves(found: Found, paint: Paint) -> list[Panel]:
    """Type-token ratio of the altered models: blocks swapped, update scaled, directions removed, spread undone."""
    drawn = panels(2, 2, paint)
    for panel, (what, altered, factor, curves) in zip(drawn, INTERVENTIONS, strict=True):
        panel.describe(f"{RATIO}, {what}", altered, low=0, high=1)
        if "keep" in curves:
            panel.axes.set_xscale("log", base=2)
        for (kind, name), look in zip(curves.items(), SERIES, strict=False):
            points = sorted((point for point in found["points"] if point["curve"] == kind), key=lambda p: p["amount"])
            at = [factor * point["amount"] for point in points]
            panel.curve(name, at, [point["ttr"] for point in points], look)
        panel.level("base", value(found["base"]["ttr"]), BASE)
        panel.level("hyperfitted", value(found["tuned"]["ttr"]), TUNED)
    return drawn


def encouragement_panels(found: Found, paint: Paint) -> list[Panel]:
    """By epoch, bars where there are but two: human tokens among the best, their rank; the best's mass and entropy."""
    within, rank, mass, entropy = drawn = panels(2, 2, paint)
    epochs = sorted(found["epochs"], key=int)
    draw = encouragement_bars if len(epochs) == 2 else encouragement_lines
    for panel, title, key, factor in (
        (within, "human token among the k best, %", "within", 100),
        (mass, "probability of the k best, %", "mass", 100),
        (entropy, "entropy among the k best, nats", "entropy", 1),
    ):
        sides = [dict(found["epochs"][epoch][key]) for epoch in epochs]
        if key == "entropy":  # of one token it is 0
            sides = [{k: one for k, one in side.items() if k != "1"} for side in sides]
        draw(sides, epochs, panel, title, factor)
    rank.describe("rank of the human token, geometric mean", "epoch (0: base)", low=0)
    known = [geometric(found["epochs"][epoch]["log_rank"]) for epoch in epochs]
    rank.curve("rank", list(map(int, epochs)), known, TUNED)
    return drawn


def geometric(log: Found) -> Found:
    """A mean of logarithms as a geometric mean."""
    return {end: None if log[end] is None else math.exp(log[end]) for end in ("value", "low", "high")}


def encouragement_bars(sides: list[Found], _: list[str], panel: Panel, title: str, factor: float) -> None:
    """For each k the base and the tuned model."""
    panel.describe(
        title, "best tokens", names=[f"k = {k}" for k in sides[0]], low=0, high=100 if factor == 100 else None
    )
    for beside, side, name in zip((-0.2, 0.2), sides, ("base", "hyperfitted"), strict=True):
        panel.bars(name, range(len(side)), list(side.values()), CONDITIONS[name], beside=beside, factor=factor)


def encouragement_lines(sides: list[Found], epochs: list[str], panel: Panel, title: str, factor: float) -> None:
    """For each k a line over the epochs."""
    panel.describe(title, "epoch (0: base)", low=0, high=100 if factor == 100 else None)
    for place, k in enumerate(("1", "5", "10")):
        if k in sides[0]:
            panel.curve(f"k = {k}", list(map(int, epochs)), [side[k] for side in sides], SERIES[place], factor=factor)
