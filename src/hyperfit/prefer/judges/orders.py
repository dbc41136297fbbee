"""Two answers, one in each order of the texts → one judgement; and how often the order decided."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.prefer.judgement import Choice, Judgement
from hyperfit.prefer.judges.asking import Question
from hyperfit.prefer.judges.dimensions import OVERALL, Dimension
from hyperfit.prefer.judges.exchanges import Kept
from hyperfit.prefer.statistics.annotators import hits


@dataclass(frozen=True)
class BothOrders:
    """One pair, judged in both orders."""

    judgement: Judgement
    plain: dict[str, Choice]
    """Dimension → answer with the first condition's text as A."""
    swapped: dict[str, Choice]
    """The same with the second condition's as A."""

    def line(self) -> dict[str, Any]:
        """As a file of judgements holds it."""
        return {
            **asdict(self.judgement),
            "kind": "model",
            "orders": {"first_shown_first": self.plain, "second_shown_first": self.swapped},
        }


@dataclass(frozen=True)
class Flips:
    """How often a judge answers otherwise when the texts change places; n counts pairs."""

    flipped: Estimate
    """Share of pairs with two different answers: they count as ties."""
    to_first_shown: Estimate
    """Share of pairs in which the text that stands first won in both orders."""
    to_second_shown: Estimate
    """The same of the text that stands second."""


def in_both_orders(
    questions: Sequence[Question], answered: Mapping[str, Kept], asked: Sequence[Dimension], model: str
) -> list[BothOrders]:
    """The pairs that were answered in both orders. Inconsistent answers are ties."""
    found = []
    for one, other in zip(questions[::2], questions[1::2], strict=True):
        plain, swapped = answered.get(one.key), answered.get(other.key)
        if plain is None or swapped is None:
            continue
        agreed: dict[str, Choice] = {name: together(plain.choices[name], swapped.choices[name]) for name in asked}
        judgement = Judgement(
            judge=model,
            item=one.pair.id,
            context=one.pair.context_id,
            domain=one.pair.domain,
            tokens=one.pair.tokens,
            first=one.pair.first,
            second=one.pair.second,
            choice=agreed.pop(OVERALL),
            seconds=round(plain.seconds + swapped.seconds, 3),
            questions=agreed,
        )
        found.append(BothOrders(judgement, plain.choices, swapped.choices))
    return found


def together(one: Choice, other: Choice) -> Choice:
    """What both answers say; a tie where they differ."""
    return one if one == other else "equal"


def flips(judged: Sequence[BothOrders], dimension: Dimension = OVERALL) -> Flips:
    """How often the order of the texts decided."""
    pairs = [(one.plain[dimension], one.swapped[dimension]) for one in judged]
    return Flips(
        hits(one != other for one, other in pairs),
        hits(pair == ("first", "second") for pair in pairs),
        hits(pair == ("second", "first") for pair in pairs),
    )
