"""Which pair an annotator is given next, on which sides, and when gold and repeated pairs come: pure functions."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Candidate:
    """An item that an annotator may be given."""

    id: str
    context_id: str
    conditions: tuple[str, str]
    taken: int
    """How many annotators have judged it or are at it."""


def next_item(
    candidates: Sequence[Candidate],
    contexts: Mapping[str, int],
    conditions: Mapping[tuple[str, str], int],
    draw: random.Random,
) -> Candidate:
    """One of the candidates: of a context that the annotator has seen least often; judged by fewest; of conditions
    that the annotator has compared least often. Among equals, a draw.

    contexts, conditions: how often the annotator has had each.
    """

    def rank(one: Candidate) -> tuple[int, int, int]:
        return contexts.get(one.context_id, 0), one.taken, conditions.get(one.conditions, 0)

    best = min(map(rank, candidates))
    return draw.choice(sorted((one for one in candidates if rank(one) == best), key=lambda one: one.id))


def swapped(own: tuple[int, int], others: tuple[int, int], draw: random.Random) -> bool:
    """Whether the second text stands on the left.

    own: how often this annotator has seen these two conditions (as they are, swapped); others: how often this item was
    shown so. The annotator's count decides, then the item's, then a draw: for each annotator and two conditions the
    sides never differ by more than one.
    """
    for plain, turned in (own, others):
        if plain != turned:
            return turned < plain
    return draw.random() < 0.5


def due(count: int, quota: int, seed: str, *, late: bool = False) -> list[int]:
    """After how many answers to the study's own pairs each of ``count`` further ones comes, in order.

    They are spread over a quota of pairs, each at a drawn place of its part; late: over the second half.
    """
    draw = random.Random(seed)
    start = quota / 2 if late else 0
    part = (quota - start) / count if count else 0
    return [int(start + (place + draw.random()) * part) for place in range(count)]
