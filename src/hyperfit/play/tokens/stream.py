"""Two texts written at once, one by each model of a pair, each token with what both models thought of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from hyperfit.mechanism.pair.pair import SIDES, Pair, Side
from hyperfit.play.tokens.reader import Reader

ALTERNATIVES = 8
"""Likeliest tokens that are told of each step."""

Choose = Callable[[Tensor, Tensor], int | None]
"""(int64[1, tokens] so far, float32[1, vocabulary] logits) → the next token; None where the text ends."""


@dataclass(frozen=True)
class Candidate:
    """A token as both models see it after the same tokens. Probabilities and ranks are the models' own: of all tokens,
    before what a decoding does to them.
    """

    token: int
    probability: float
    """Under the model that writes."""
    rank: int
    """There: 1 for the likeliest; equally likely tokens share the better rank."""
    other_probability: float
    other_rank: int
    """Under the other model."""


@dataclass(frozen=True)
class Step:
    """One token of one side's text."""

    side: Side
    chosen: Candidate | None
    """None: the text ended here, as its model or its decoding ended it."""
    alternatives: tuple[Candidate, ...] = ()
    """The likeliest tokens of the model that writes, likeliest first."""


@torch.no_grad()
def write(pair: Pair, context: list[int], choose: Mapping[Side, Choose], new_tokens: int) -> Iterator[Step]:
    """Both continuations of a context, a step of each side in turn, until both end or have ``new_tokens`` tokens.

    Each model reads both texts, as two rows of a batch on one key-value cache, so a step is one forward pass of each.
    """
    room = len(context) + new_tokens
    readers = {side: Reader(pair, side, room) for side in SIDES}
    texts = {side: list(context) for side in SIDES}
    logits = {side: readers[side].start(context, len(SIDES)) for side in SIDES}
    running = dict.fromkeys(SIDES, True)
    for number in range(new_tokens):
        for row, side in enumerate(SIDES):
            if not running[side]:
                texts[side].append(texts[side][-1])  # its row goes on, and nobody looks
                continue
            own, other = (logits[one][row] for one in (side, other_of(side)))
            token = choose[side](torch.tensor([texts[side]], device=own.device), own[None])
            running[side] = token is not None
            texts[side].append(texts[side][-1] if token is None else token)
            yield Step(side, None) if token is None else seen_by_both(side, token, own, other.to(own.device))
        if not any(running.values()) or number == new_tokens - 1:
            return
        newest = [texts[side][-1] for side in SIDES]
        logits = {side: readers[side].go_on(newest) for side in SIDES}


def seen_by_both(side: Side, token: int, own: Tensor, other: Tensor) -> Step:
    """A step, from float32[vocabulary] logits of the model that writes and of the other one."""
    likeliest = own.topk(min(ALTERNATIVES, len(own))).indices.tolist()
    sums = own.logsumexp(-1), other.logsumexp(-1)

    def candidate(one: int) -> Candidate:
        (probability, rank), (other_probability, other_rank) = (
            (float((logits[one] - total).exp()), int((logits > logits[one]).sum()) + 1)
            for logits, total in zip((own, other), sums, strict=True)
        )
        return Candidate(one, probability, rank, other_probability, other_rank)

    return Step(side, candidate(token), tuple(map(candidate, likeliest)))


def other_of(side: Side) -> Side:
    """The side across."""
    return "tuned" if side == "base" else "base"
