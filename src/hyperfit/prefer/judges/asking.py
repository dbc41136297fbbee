"""Every pair asked of a judge in both orders, several at once."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from hyperfit.errors import UserError
from hyperfit.prefer.items.pairs import Pair
from hyperfit.prefer.judges.answers import Answer, read_reply
from hyperfit.prefer.judges.endpoint import Endpoint, Exchange
from hyperfit.prefer.judges.exchanges import ExchangeLog, key_of
from hyperfit.prefer.judges.prompt import ONCE_MORE, Messages, bodies, messages
from hyperfit.prefer.judges.settings import JudgeSettings

REASKED = 2
"""Times that a judge is asked again that has not answered in the form asked for."""


@dataclass(frozen=True)
class Question:
    """One pair in one order."""

    pair: Pair
    swapped: bool
    """Whether the second condition's text is A."""
    chat: Messages
    key: str


def questions_of(pairs: Sequence[Pair], settings: JudgeSettings) -> list[Question]:
    """Both orders of every pair, beside each other."""
    return [
        Question(pair, swapped, chat, key_of(settings.model, chat))
        for pair in pairs
        for swapped in (False, True)
        for chat in [messages(pair, settings.asked, swapped=swapped)]
    ]


def ask_all(
    questions: Sequence[Question],
    settings: JudgeSettings,
    endpoint: Endpoint,
    log: ExchangeLog,
    advance: Callable[[int], None],
) -> None:
    """Ask, and keep every exchange in the log. The first question goes alone: it finds the form that the server takes.

    A question that is refused, or answered in no form that can be read, has no answer. Raises UserError as soon as the
    server fails a request for good; what was answered until then is kept.
    """
    asyncio.run(ask_together(questions, settings, endpoint, log, advance))


async def ask_together(
    questions: Sequence[Question],
    settings: JudgeSettings,
    endpoint: Endpoint,
    log: ExchangeLog,
    advance: Callable[[int], None],
) -> None:
    """The same within a loop."""
    left = iter(questions)

    async def work(turn: Iterator[Question]) -> None:
        for question in turn:
            await ask(question, settings, endpoint, log)
            advance(1)

    async with endpoint:
        await work(iter([first for first in [next(left, None)] if first is not None]))
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(settings.concurrency):
                    group.create_task(work(left))
        except* UserError as failures:
            raise failures.exceptions[0] from None


async def ask(question: Question, settings: JudgeSettings, endpoint: Endpoint, log: ExchangeLog) -> None:
    """One question, until it is answered or REASKED times more."""
    chat = question.chat
    for _ in range(REASKED + 1):
        answers: list[Answer] = []
        keep = partial(keep_exchange, question, settings, log, answers)
        await endpoint.ask(bodies(settings.model, chat, settings.asked, settings.most_tokens), keep)
        answer = answers[-1]
        if answer.choices:
            return
        if answer.problem in ("broken", "cut off") and answer.content:
            chat = [
                *question.chat,
                {"role": "assistant", "content": answer.content},
                {"role": "user", "content": ONCE_MORE},
            ]


def keep_exchange(
    question: Question, settings: JudgeSettings, log: ExchangeLog, answers: list[Answer], done: Exchange
) -> None:
    """Write one exchange down, and read its answer."""
    answer = Answer({})
    if done.status is not None and 200 <= done.status < 300:
        answer = read_reply(done.reply, settings.asked, swapped=question.swapped)
    answers.append(answer)
    about: dict[str, Any] = {
        "item": question.pair.id,
        "first": question.pair.first,
        "second": question.pair.second,
        "swapped": question.swapped,
    }
    log.append(question.key, about, done, answer.choices, answer.problem)
