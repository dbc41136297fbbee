"""Whether a text ends in a loop: the same tokens again and again, to its very end."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST_ROUNDS = 3
"""Whole rounds of the shortest loop."""
LEAST_TOKENS = 12
"""Tokens of the shortest loop, all rounds together."""


@dataclass(frozen=True)
class Loop:
    """A text's tail that repeats itself to the end."""

    onset: int
    """Index of its first token."""
    period: int
    """Tokens of a round: each token of the tail is equal to the one a period later."""


def ending_loop(tokens: Sequence[int], rounds: int = LEAST_ROUNDS, least: int = LEAST_TOKENS) -> Loop | None:
    """The loop a text ends in; None if it ends in none.

    With m(p) the count of tokens at the end that equal the token p before them, the last p + m(p)
    tokens are the longest tail of period p. It is a loop if it holds at least ``rounds`` whole rounds
    (2 or more) and at least ``least`` tokens. Of several loops the one that begins first counts, and
    of those the one of the smallest period: a round that itself ends in a run of one token is told
    whole. A text too short to hold a loop ends in none. Linear in the text: m is the Z-function of
    the text read backwards (Gusfield, 1997).
    """
    if rounds < 2:
        raise ValueError(f"a loop has at least 2 rounds, not {rounds}")
    found: Loop | None = None
    for period, same in enumerate(tail_matches(tokens)):
        tail = period + same
        long_enough = period and tail >= max(rounds * period, least)
        if long_enough and (found is None or len(tokens) - tail < found.onset):
            found = Loop(len(tokens) - tail, period)
    return found


def tail_matches(tokens: Sequence[int]) -> list[int]:
    """Entry p: how many tokens, counted from the end, equal the token p before them. The Z-function backwards."""
    backwards = tokens[::-1]
    size = len(backwards)
    matches = [size] if size else []
    left = right = 0  # backwards[left:right] is the run found so far that reaches farthest
    for place in range(1, size):
        same = min(right - place, matches[place - left]) if place < right else 0
        while place + same < size and backwards[same] == backwards[place + same]:
            same += 1
        if place + same > right:
            left, right = place, place + same
        matches.append(same)
    return matches


def ends_in_loop(tokens: Sequence[int]) -> float:
    """1 if the text ends in a loop (``ending_loop``), else 0: a hit for share_estimate. NaN if too short for one."""
    if len(tokens) < LEAST_TOKENS:
        return math.nan
    return float(ending_loop(tokens) is not None)


def loop_period(tokens: Sequence[int]) -> float:
    """Tokens of a round of the loop the text ends in: 1 or more; NaN if it ends in none."""
    loop = ending_loop(tokens)
    return math.nan if loop is None else float(loop.period)


def loop_onset(tokens: Sequence[int]) -> float:
    """Tokens before the loop the text ends in: 0 or more; NaN if it ends in none."""
    loop = ending_loop(tokens)
    return math.nan if loop is None else float(loop.onset)
