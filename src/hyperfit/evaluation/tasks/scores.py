"""One number an example out of what the harness logs, and what would come of guessing."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hyperfit.errors import UserError

Sample = dict[str, Any]
"""One example as lm-eval's ``log_samples`` has it."""


@dataclass(frozen=True)
class Scores:
    """A model on one task, example by example."""

    measure: str
    """As the task calls it."""
    values: list[float]
    """Of each example: 0 to 1, more is better; of a loss, 0 or more, and less is better."""
    examples: list[str]
    """Hash of each, for comparing models on the same ones only."""
    loss: bool = False
    """Whether the values are losses."""
    chance: float = math.nan
    """What guessing gives; NaN for a loss."""
    answers: list[Any] | None = None
    """What the model gave: log-likelihoods of the choices, or text."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; NaN, which JSON does not have, is left out."""
        return {name: value for name, value in asdict(self).items() if value == value}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Scores":
        """The inverse of to_dict."""
        return cls(**values)


def hits(values: ArrayLike) -> bool:
    """Whether all values are 0 or 1."""
    return bool(np.isin(values, (0, 1)).all())


def scores_of(task: str, samples: Sequence[Sample], *, choosing: bool) -> Scores:
    """The first measure of a task that is a score of each example; if none is, the first that is a loss of each.

    A score is a number from 0 to 1, or a pair of the right and the given label (of F1, or of Matthews' correlation,
    which all examples have only together): these count as accuracy. A loss is a log-likelihood with the number of bytes
    or words behind it: bits a byte, nats a word; or alone: nats an example. Of several filters of one answer the
    first counts. choosing: whether it is multiple choice. Raises UserError for a task without any of these.
    """
    first = samples[0]["filter"]
    samples = [one for one in samples if one["filter"] == first]
    names = [name for name in samples[0]["metrics"] if all(name in one for one in samples)]
    for read in (score, hit, weighed_loss, loss):
        for name in names:
            values = [read(name, one[name]) for one in samples]
            if all(value is not None for value in values):
                lossy = read in (weighed_loss, loss)
                return Scores(
                    "accuracy" if read is hit else name,
                    [float(value) for value in values if value is not None],
                    [one["doc_hash"] for one in samples],
                    lossy,
                    math.nan if lossy else chance(samples, choosing=choosing),
                    [plain_answer(one["filtered_resps"]) for one in samples],
                )
    raise UserError(f"--tasks {task}: none of its measures ({', '.join(names)}) is one number an example")


def score(name: str, value: Any) -> float | None:
    """A number from 0 to 1 is a score."""
    return float(value) if isinstance(value, Real) and 0 <= float(value) <= 1 and "perplexity" not in name else None


def hit(name: str, value: Any) -> float | None:
    """A pair of two labels is a hit or none; ``name`` tells it from a log-likelihood with its count."""
    if name not in ("f1", "mcc") or len(value) != 2:
        return None
    return float(value[0] == value[1])


def weighed_loss(name: str, value: Any) -> float | None:
    """(log-likelihood, how many bytes or words) as bits a byte or nats a word."""
    if name not in ("bits_per_byte", "byte_perplexity", "word_perplexity"):
        return None
    known, count = value
    return -known / count / (1 if name == "word_perplexity" else math.log(2)) if count else math.nan


def loss(name: str, value: Any) -> float | None:
    """A log-likelihood, as nats."""
    return -float(value) if name == "perplexity" and isinstance(value, Real) else None


def chance(samples: Sequence[Sample], *, choosing: bool) -> float:
    """What guessing gives: one of the choices at random, or, where these are labels, always the commonest.

    Labels: all examples have the same choices. 0 where the answer is written.
    """
    if not choosing:
        return 0.0
    choices = [tuple(part[-1] for part in one["arguments"]) for one in samples]
    if "acc_mutual_info" in samples[0]["metrics"]:  # every choice is asked for once more, without its question
        choices = [one[: len(one) // 2] for one in choices]
    at_random = sum(1 / len(one) for one in choices) / len(choices)
    if len(set(choices)) > 1 or len(set(choices[0])) < len(choices[0]):
        return at_random
    return max(at_random, max(Counter(str(one["target"]) for one in samples).values()) / len(samples))


def guessed(parts: Iterable[Scores]) -> float:
    """What guessing gives, mean over the examples of all parts."""
    known = list(parts)
    return float(np.average([one.chance for one in known], weights=[len(one.values) for one in known]))


def plain_answer(answer: Any) -> Any:
    """Log-likelihoods without what else comes with them; text as it is."""
    if isinstance(answer, (list, tuple)):
        if len(answer) == 2 and isinstance(answer[1], bool):
            return float(answer[0])
        return [plain_answer(one) for one in answer]
    return float(answer) if isinstance(answer, Real) else str(answer)
