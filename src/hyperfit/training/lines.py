"""What a training says to people."""

from typing import Any

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, REMEDY, copies_much
from hyperfit.recipes.recipe import Recipe


def epoch_line(event: dict[str, Any], epochs: int, seconds: float) -> str:
    """An epoch in one line for people."""
    shown = {
        "train_loss": "train {:.3f}",
        "val_loss": "val {:.3f}",
        "entropy": "entropy {:.3f}",
        "ttr": "TTR {:.3f}",
        "word_share": "words {:.0%}",
        "longest_overlap": "copied {:.1f}",
        "long_overlap_share": f">{LONG_OVERLAP}: {{:.0%}}",
    }
    numbers = [
        written.format(event[name]).replace("%", " %") for name, written in shown.items() if event.get(name) is not None
    ]
    return f"epoch {event['epoch']:3} of at most {epochs}  {'  '.join(numbers)}  {seconds:.1f} s"


def copying_line(event: dict[str, Any], texts: int) -> str:
    """What of the training data stands in the last probe, of so many texts, and what lowers it if it is much; or ""."""
    overlap, share = event.get("longest_overlap"), event.get("long_overlap_share")
    if overlap is None or share is None:
        return ""
    found = (
        f"longest run of training data in a greedy text: {overlap:.1f} tokens on average, more than {LONG_OVERLAP} in "
        f"{round(share * texts)} of {texts} texts"
    )
    return f"{found}: {REMEDY} would lower that" if copies_much(overlap, share) else found


def remedy(recipe: Recipe) -> str:
    """What to try where the training loss did not come down to the goal, with numbers to begin with."""
    adapters = f", --rank {2 * recipe.rank}" if recipe.adapters else ""
    blocks = f", --late-blocks above {recipe.late_blocks}" if recipe.late and recipe.late_blocks is not None else ""
    return (
        f"what to try: more epochs (--epochs {2 * recipe.epochs}), a larger --lr ({2 * recipe.learning_rate:.2g})"
        f"{adapters}{blocks}, fewer --samples, or a --stop-loss that is enough for you; in a new --output"
    )
