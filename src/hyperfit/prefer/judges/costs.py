"""What asking a judge will take: requests, tokens, money and time."""

from collections.abc import Sequence
from dataclasses import dataclass

from hyperfit.console import duration
from hyperfit.numbers import COUNT, decimal
from hyperfit.prefer.judges.asking import Question
from hyperfit.prefer.judges.settings import JudgeSettings

CHARACTERS = 4
"""Of a token, about: English under the usual vocabularies."""
WRITTEN = 12
"""Tokens of an answer for one dimension, about."""
SECONDS = 1.0
"""Before a server begins to answer, about."""
SPEED = 50.0
"""Tokens that it then writes in a second, about."""
MILLION = 1_000_000


@dataclass(frozen=True)
class Costs:
    """Before the start an estimate, afterwards what the server has counted."""

    requests: int
    read: int
    """Tokens."""
    written: int
    """Tokens."""
    price: float | None
    """In the currency of the prices that were given; None without them."""


def estimated(questions: Sequence[Question], settings: JudgeSettings) -> Costs:
    """Of questions that are still to be asked, if each is answered at once."""
    characters = sum(len(message["content"]) for question in questions for message in question.chat)
    return priced(len(questions), characters // CHARACTERS, WRITTEN * len(settings.asked) * len(questions), settings)


def priced(requests: int, read: int, written: int, settings: JudgeSettings) -> Costs:
    """With the price that the settings say."""
    price = None
    if settings.price_read is not None and settings.price_written is not None:
        price = (read * settings.price_read + written * settings.price_written) / MILLION
    return Costs(requests, read, written, price)


def seconds_for(costs: Costs, settings: JudgeSettings) -> float:
    """About how long that takes, if a request takes SECONDS and SPEED tokens are written in a second."""
    return (costs.requests * SECONDS + costs.written / SPEED) / settings.concurrency


def told(costs: Costs, settings: JudgeSettings) -> str:
    """The estimate in words."""
    money = "" if costs.price is None else f", at the prices given about {decimal(costs.price, 2)}"
    return (
        f"{COUNT.told(costs.requests)} requests: about {COUNT.told(costs.read)} tokens to read and "
        f"{COUNT.told(costs.written)} to write{money}; about {duration(seconds_for(costs, settings))}, "
        f"{settings.concurrency} at once, if a request takes a second and {COUNT(SPEED)} tokens are written in one"
    )
