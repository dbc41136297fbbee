"""What a judge answered: one choice a dimension, or why there is none."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from hyperfit.prefer.judgement import Choice
from hyperfit.prefer.judges.dimensions import Dimension

Problem = Literal["", "refusal", "cut off", "broken"]
WRITTEN: dict[str, Literal["A", "B", "equal"]] = {
    "a": "A",
    "b": "B",
    "continuation a": "A",
    "continuation b": "B",
    "continuation_a": "A",
    "continuation_b": "B",
    "equal": "equal",
    "tie": "equal",
    "both": "equal",
    "neither": "equal",
    "equally good": "equal",
}
"""What stands for the three answers, in lower case."""


@dataclass(frozen=True)
class Answer:
    """One reply of a judge."""

    choices: dict[str, Choice]
    """Dimension → which condition; empty where there is a problem."""
    problem: Problem = ""
    content: str = ""
    """As the model wrote it."""


def read_reply(reply: Any, dimensions: Sequence[Dimension], *, swapped: bool) -> Answer:
    """The answer in a chat completion as a server returned it, whatever that is."""
    try:
        choice = reply["choices"][0]
        message, finish = choice["message"], choice.get("finish_reason")
        content, refused = message.get("content") or "", message.get("refusal")
    except (KeyError, IndexError, TypeError, AttributeError):
        return Answer({}, "broken")
    content = content if isinstance(content, str) else json.dumps(content)
    if refused or finish == "content_filter":
        return Answer({}, "refusal", content)
    for found in objects(content):
        choices = chosen(found, dimensions, swapped=swapped)
        if choices is not None:
            return Answer(choices, "", content)
    return Answer({}, "cut off" if finish == "length" else "broken", content)


def objects(content: str) -> Iterator[Mapping[str, Any]]:
    """The JSON objects in a text, those that stand for themselves, the last first: a model may think aloud before."""
    decoder, place = json.JSONDecoder(), content.find("{")
    found: list[Mapping[str, Any]] = []
    while place >= 0:
        try:
            value, end = decoder.raw_decode(content, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            found.append(value)
        place = content.find("{", end)
    yield from reversed(found)


def chosen(found: Mapping[str, Any], dimensions: Sequence[Dimension], *, swapped: bool) -> dict[str, Choice] | None:
    """Dimension → condition; None unless every dimension has one of the three answers."""
    sides: dict[str, Choice] = {"A": "second" if swapped else "first", "B": "first" if swapped else "second"}
    plain = {key.strip().lower().replace(" ", "_"): value for key, value in found.items()}
    choices: dict[str, Choice] = {}
    for name in dimensions:
        value = plain.get(name)
        side = WRITTEN.get(value.strip().rstrip(".").lower()) if isinstance(value, str) else None
        if side is None:
            return None
        choices[name] = sides.get(side, "equal")
    return choices
