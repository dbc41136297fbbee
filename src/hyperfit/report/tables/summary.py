"""An evaluation in two sentences: what the greedy texts are like, and what of them was copied."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, PAPER_LONG_SHARE, PAPER_OVERLAP, REMEDY, copies_much
from hyperfit.metrics.estimate import Estimate
from hyperfit.report.tables.measures import Show, number, perplexity, ratio
from hyperfit.report.tables.table import interval

Results = Mapping[str, Any]

CONDITIONS = ("base/greedy", "hyperfitted/greedy", "human")
LOOPS = "{} of the base model's greedy texts end in a loop, {} of the hyperfitted, {} of human ones"
UNLOOPED = "in greedy texts of the base model, in those of the hyperfitted one and in human ones, "
"""Says what the values are of where no loops were measured."""
percent = number(1, 100)


def whole(value: float) -> str:
    """A share as 82 %."""
    return "–" if math.isnan(value) else f"{number(0, 100)(value)} %"


CLAUSES: tuple[tuple[str, str, Show], ...] = (
    ("ttr", "the type–token ratio is {}, {} and {}", ratio),
    ("word_share", "words that are words are {}, {} and {} % of all", percent),
    ("longest_overlap", "the longest run of training data is {}, {} and {} tokens on average", number(1)),
)
READING = ("perplexity", "perplexity on human text is {} and {}", perplexity)


def summary(evaluation: Results) -> list[str]:
    """Base, hyperfitted and human texts beside each other; then what was copied, and what lowers it if it is much.

    evaluation: as evaluation.json holds it. A measure that is undefined for both models has no clause. Empty unless
    both models wrote greedily. Intervals stand in the tables.
    """
    conditions, models = evaluation.get("conditions", {}), evaluation.get("models", {})
    if not all(name in conditions for name in CONDITIONS[:2]):
        return []

    def told(where: Results, names: Sequence[str], key: str, written: str, show: Show) -> list[str]:
        values = [found(where.get(name, {}), key).value for name in names]
        return [] if all(map(math.isnan, values[:2])) else [written.format(*map(show, values))]

    loops = told(conditions, CONDITIONS, "loop_share", LOOPS, whole)
    others = [clause for one in CLAUSES for clause in told(conditions, CONDITIONS, *one)]
    if others and not loops:
        others[0] = UNLOOPED + others[0]
    clauses = [*loops, *others, *told(models, ("base", "hyperfitted"), *READING)]
    sentence = "; ".join(clauses)
    first = [f"{sentence[0].upper()}{sentence[1:]}."] if clauses else []
    return [*first, *copying(conditions["hyperfitted/greedy"])]


def copying(measures: Results) -> list[str]:
    """How much of the training data stands in the hyperfitted texts, and the remedy if that is above the paper's."""
    overlap, long = found(measures, "longest_overlap"), found(measures, "long_overlap_share")
    if math.isnan(long.value):
        return []
    sentence = (
        f"Of the hyperfitted texts, {percent(long.value)} {interval(long, percent)} % hold a run of more than "
        f"{LONG_OVERLAP} tokens from the training data"
    )
    if not copies_much(overlap.value, long.value):
        return [f"{sentence}."]
    paper = f"at most {PAPER_LONG_SHARE:.0%}".replace("%", " %")
    return [f"{sentence} (Carlsson et al.: {paper}, and {PAPER_OVERLAP} tokens on average): {REMEDY} would lower that."]


def found(measures: Results, key: str) -> Estimate:
    """An estimate by name; all NaN where there is none."""
    return Estimate.from_dict(measures.get(key) or dict.fromkeys(("value", "low", "high", "n")))
