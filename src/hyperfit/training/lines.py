"""What a training says to people."""

import math
from typing import Any

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, REMEDY, copies_much
from hyperfit.numbers import PERCENT, TENTHS, figures, style_of
from hyperfit.recipes.recipe import Recipe


def epoch_line(event: dict[str, Any], epochs: int, seconds: float | None = None) -> str:
    """An epoch in one line for people."""
    shown = {
        "train_loss": "train",
        "val_loss": "val",
        "entropy": "entropy",
        "ttr": "TTR",
        "word_share": "words",
        "longest_overlap": "copied",
        "long_overlap_share": f">{LONG_OVERLAP}:",
    }
    numbers = [
        f"{word} {style_of(name).told(event[name])}" for name, word in shown.items() if event.get(name) is not None
    ]
    took = [] if seconds is None else [f"{seconds:.1f} s"]
    return "  ".join([f"epoch {event['epoch']:3} of at most {epochs}", *numbers, *took])


def copying_line(event: dict[str, Any], texts: int | None = None) -> str:
    """What of the training data stands in the last probe, and what lowers it if it is much; or "".

    texts: of the probe; None: not known.
    """
    overlap, share = event.get("longest_overlap"), event.get("long_overlap_share")
    if overlap is None or share is None:
        return ""
    found = (
        f"longest run of training data in a greedy text: {TENTHS.told(overlap)} tokens on average, more than "
        f"{LONG_OVERLAP} in "
        + (f"{PERCENT.told(share)} of the texts" if texts is None else f"{round(share * texts)} of {texts} texts")
    )
    return f"{found}: {REMEDY} would lower that" if copies_much(overlap, share) else found


def unjudged(recipe: Recipe) -> str:
    """That ``stop_copying`` could not act, where probes write nothing between epochs; or ""."""
    if recipe.stop_copying is None or recipe.greedy_every:
        return ""
    return "copying was judged only here, at the end (--greedy-every 0)"


def unreachable(goal: float | None, least: float) -> str:
    """That no model can reach the goal on sequences that allow no loss below ``least``, nats per token; or ""."""
    if goal is None or goal >= least:
        return ""
    return (
        f"--stop-loss {goal:g}: no model can come below {figures(least)} on these sequences: several begin alike, and "
        f"how each goes on cannot be known; give {rounded_up(least)} or more"
    )


def rounded_up(value: float) -> str:
    """To two significant digits, at least the value."""
    place = 10.0 ** (math.floor(math.log10(value)) - 1)
    return f"{math.ceil(value / place) * place:.2g}"


def verdict(reason: str, loss: float, goal: float | None, copied: str, rule: str, least: float = 0) -> str:
    """How training ended, and what would have reached its goal: not said where texts recite, as it would add to that.

    loss, goal, least: nats per token; least: what no model can get below. copied: the ``copying_line`` of the last
    probe. rule: the name of that of --stop auto.
    """
    if reason == "auto":
        return f"ended by --stop auto ({rule})"
    if goal is None:
        return "all epochs done"
    told = f"goal (at most {goal:g}) {'' if loss <= goal else 'NOT '}reached"
    if loss > goal and unreachable(goal, least):
        told += f" (no model can come below {figures(least)} on these sequences)"
    elif loss > goal and reason == "epochs" and REMEDY not in copied:
        told += " (more --epochs, a larger --lr or --rank, or a higher --stop-loss would reach it)"
    return told
