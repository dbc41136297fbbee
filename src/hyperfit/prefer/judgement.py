"""One answer of one judge to the question which of two continuations of a context reads better."""

from dataclasses import dataclass, field
from typing import Literal

Choice = Literal["first", "second", "equal"]

HUMAN = "human"
"""The condition of a context's original continuation."""


@dataclass(frozen=True)
class Judgement:
    """What is analysed: free of sides and of the order in which items were shown.

    ``first`` and ``second`` name conditions as tables call them (``hyperfitted/greedy``, ``human``), in an order that
    belongs to the pair and is the same for all judges.
    """

    judge: str
    """An annotator's number, or a model's name."""
    item: str
    """The pair of texts: the same for all its judges."""
    context: str
    """The context's id: items of one context share it."""
    domain: str
    """The source of the context."""
    tokens: int
    """Of context and continuation together."""
    first: str
    second: str
    choice: Choice
    seconds: float | None = None
    """How long the judge took."""
    swapped: bool = False
    """Whether the second condition was shown first (on the left)."""
    purpose: Literal["study", "gold", "repeat"] = "study"
    """Gold items and repeated ones check attention; scores are made from ``study`` alone."""
    expected: Choice | None = None
    """The answer that a gold item wants."""
    questions: dict[str, Choice] = field(default_factory=dict)
    """Answers to further questions, such as coherence, by name."""
    comment: str = ""
    study: str = ""
    """Which study numbered the judge; "" where the name stands for itself."""
