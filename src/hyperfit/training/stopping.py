"""When to stop training, decided from what its own probes show: rules over the epochs so far."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hyperfit.numbers import PERCENT
from hyperfit.recipes.recipe import MOST_COPYING

Epochs = Sequence[Mapping[str, Any]]
"""Epoch events in order, from the first epoch of training to the one that has just ended."""

RECORD = 0.02
"""How much a type-token ratio has to rise above all before it to be a record; that of a dozen texts wavers."""


@dataclass(frozen=True)
class Rule:
    """A way to stop. It is asked after every epoch, and never for an epoch whose texts recite."""

    name: str
    ends: Callable[[Epochs], bool]
    """Whether training ends with the last of these epochs."""


def loss_below(target: float) -> Rule:
    """Where the training loss of an epoch is at most ``target`` nats per token."""
    return Rule(f"training loss {target:g}", lambda epochs: epochs[-1]["train_loss"] <= target)


def variety_settled(patience: int, loss: float) -> Rule:
    """Where the type-token ratio of greedy texts has set no record for ``patience`` looks.

    A record is RECORD above all ratios before it. loss: the training loss above which it never ends.
    """

    def ends(epochs: Epochs) -> bool:
        ratios = [one["ttr"] for one in epochs if one.get("ttr") is not None]
        if len(ratios) <= patience or epochs[-1]["train_loss"] > loss:
            return False
        record = max(ratios[:-patience])
        return all(ratio <= record + RECORD for ratio in ratios[-patience:])

    return Rule(f"no better type-token ratio in {patience} looks, loss at most {loss:g}", ends)


def entropy_settled(change: float) -> Rule:
    """Where entropy on held-out text moves by less than the share ``change`` of what it has fallen in all."""

    def ends(epochs: Epochs) -> bool:
        known = [one["entropy"] for one in epochs if one.get("entropy") is not None]
        return len(known) > 2 and abs(known[-1] - known[-2]) < change * max(known[0] - min(known), 0.0)

    return Rule(f"entropy moves by less than {PERCENT.told(change)} of its fall", ends)


def choices_settled(share: float, loss: float) -> Rule:
    """Where the likeliest token on held-out text is what it was at the look before, at ``share`` of positions.

    loss: the training loss above which it never ends; a model that hardly learns yet changes no choices either.
    """

    def ends(epochs: Epochs) -> bool:
        agreement = epochs[-1].get("agreement")
        return agreement is not None and agreement >= share and epochs[-1]["train_loss"] <= loss

    return Rule(f"{PERCENT.told(share)} of choices as an epoch before, loss at most {loss:g}", ends)


def reciting(event: Mapping[str, Any]) -> bool:
    """Whether more of an epoch's greedy texts than MOST_COPYING hold a long run of training data."""
    share = event.get("long_overlap_share")
    return share is not None and share > MOST_COPYING


def stopped_at(rule: Rule, epochs: Epochs) -> int:
    """The place in ``epochs`` of the one that training under a rule would give.

    That is where training ends; where it ends as an epoch recites, the one before, and the first if there is none.
    """
    place = ended_at(rule, epochs)
    return max(place - 1, 0) if reciting(epochs[place]) else place


def ended_at(rule: Rule, epochs: Epochs) -> int:
    """The place of the epoch after which training ends: the first that recites, or where the rule says so, or the last.

    An epoch that recites is trained before that is seen, though it is not the result.
    """
    ends = (place for place in range(len(epochs)) if reciting(epochs[place]) or rule.ends(epochs[: place + 1]))
    return next(ends, len(epochs) - 1)


FIXED = tuple(loss_below(target) for target in (0.5, 0.2, 0.1, 0.05, 0.01))
"""What one would set without looking."""
PROPOSED = (
    *(variety_settled(patience, loss) for patience in (2, 3) for loss in (1.0, 0.5)),
    *(entropy_settled(change) for change in (0.05, 0.02)),
    *(choices_settled(share, 1.0) for share in (0.8, 0.85, 0.9)),
)
"""What looks."""
AUTO = choices_settled(0.85, 1.0)
"""The rule of ``--stop auto``."""
