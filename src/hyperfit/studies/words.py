"""Numbers of studies in words."""

import math
from collections.abc import Iterable

from hyperfit.metrics.estimate import Estimate
from hyperfit.studies.study import Answer


def answer(off: Estimate, least: float = 0.0) -> Answer:
    """Whether a difference is above ``least``: Yes or No if its whole interval says so, else Partly.

    Not shown where it is undefined or has no interval.
    """
    if math.isnan(off.low) or math.isnan(off.high):
        return "Not shown"
    return "Yes" if off.low > least else "No" if off.high <= least else "Partly"


def both(*answers: Answer) -> Answer:
    """To a claim that holds where all of its parts do: No as soon as one part is."""
    known = set(answers)
    return "No" if "No" in known else "Yes" if known == {"Yes"} else unsettled(known)


def any_of(answers: Iterable[Answer]) -> Answer:
    """To the question whether there is one: No where there is none for sure."""
    known = set(answers)
    return "Yes" if "Yes" in known else "No" if known == {"No"} else unsettled(known)


def each(answers: Iterable[Answer]) -> Answer:
    """Of several cases that each count: Yes or No where all say so, else Partly."""
    known = set(answers)
    return known.pop() if len(known) == 1 else unsettled(known)


def unsettled(known: set[Answer]) -> Answer:
    """Not shown where nothing else was said."""
    return "Partly" if known - {"Not shown"} else "Not shown"
