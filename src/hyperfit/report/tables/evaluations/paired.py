"""Runs against the first of them, text by text: paired differences of all that the same contexts were measured by."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hyperfit.metrics.estimate import Estimate, estimate, paired_differences
from hyperfit.metrics.score import ALL_SHARES
from hyperfit.numbers import HUNDREDTHS, POINTS, RATIO, TENTHS, Style
from hyperfit.report.tables.evaluations.papers import TABLE_1, TABLE_2, present
from hyperfit.report.tables.evaluations.runs import Compared, same_contexts
from hyperfit.report.tables.evaluations.summary import decoding_of
from hyperfit.report.tables.measures import LEXICAL, LIKENESS, LOOPS, PERPLEXITY_RATIO, SHARPNESS, Measure
from hyperfit.report.tables.table import Row, Sheet, cell

Gaps = dict[str, Estimate]
"""Measure → its paired difference; of the perplexity the ratio."""

GROUPS: tuple[tuple[str, str, tuple[Measure, ...]], ...] = (
    ("paired-diversity", "Difference in diversity", TABLE_1),
    ("paired-memorisation", "Difference in memorisation of the training data", TABLE_2),
    ("paired-likeness", "Difference in coherence", LIKENESS),
    ("paired-loops", "Difference in loops", LOOPS[1:]),
    ("paired-lexical", "Difference in lexical diversity", LEXICAL),
)
TOLD: tuple[tuple[str, str, Style, str], ...] = (
    ("ttr", "type–token ratio {}", RATIO, "+"),
    ("loop_share", "texts that end in a loop {}", POINTS, "+"),
    ("longest_overlap", "longest run of training data {} tokens", TENTHS, "+"),
    ("perplexity_ratio", "perplexity on human text × {}", HUNDREDTHS, "-"),
)
"""What is told first: measure, the words around it, how its difference is written, and with which sign."""


def unpaired(runs: Sequence[Compared]) -> str:
    """Why no paired difference can be shown, and what would do; "" where all can."""
    if not same_contexts(runs):
        return (
            "They were not evaluated on the same contexts, so that what differs may be the contexts, and no paired "
            "difference is shown: evaluate them with the same --contexts, --most-contexts, --context and --total."
        )
    bare = [run.name for run in runs if not run.values]
    if bare:
        return (
            "No paired difference is shown, as no values of single texts lie beside the evaluation of "
            f"{', '.join(bare)}: repeat hyperfit evaluate for them."
        )
    return ""


def gaps(first: Compared, other: Compared, way: str) -> Gaps:
    """The other run minus the first, of what their hyperfitted models wrote by one decoding, and predict."""
    places = {key: place for place, key in enumerate(other.values["contexts"])}
    order = [places[key] for key in first.values["contexts"]]

    def sides(part: str, name: str) -> tuple[Mapping[str, Sequence[float]], Mapping[str, list[float]]]:
        one, two = (run.values[part].get(name, {}) for run in (first, other))
        return one, {key: [row[place] for place in order] for key, row in two.items()}

    one, two = sides("conditions", f"hyperfitted/{way}")
    found = paired_differences(two, one, ALL_SHARES)
    one, two = sides("models", "hyperfitted")
    found |= paired_differences(two, one, ())
    if "loss" in found:
        apart = [after - before for before, after in zip(one["loss"], two["loss"], strict=True)]
        found["perplexity_ratio"] = estimate(apart, math.exp)
    return found


def ways_of(first: Compared, other: Compared) -> list[str]:
    """Decodings by which both hyperfitted models wrote, that of the summary first."""
    both = [
        name.partition("/")[2]
        for name in first.values["conditions"]
        if name.startswith("hyperfitted/") and name in other.values["conditions"]
    ]
    return sorted(both, key=lambda way: way != decoding_of(first.evaluation))


def paired_sheets(runs: Sequence[Compared]) -> list[Sheet]:
    """A row a run and decoding, minus the first run's; none where nothing can be paired."""
    if unpaired(runs):
        return []
    first, *others = runs
    rows = [
        (f"{other.name}/{way} − {first.name}/{way}", gaps(first, other, way))
        for other in others
        for way in ways_of(first, other)
    ]
    models = [
        (f"{other.name} − {first.name}", gaps(first, other, way))
        for other in others
        for way in ways_of(first, other)[:1]
    ]
    sharp = (*(one for one in SHARPNESS if one.key != "perplexity"), PERPLEXITY_RATIO)
    return present(
        [
            *(paired_sheet(name, title, rows, measures) for name, title, measures in GROUPS),
            paired_sheet("paired-sharpness", "Difference in sharpness on human text", models, sharp),
        ]
    )


def paired_sheet(name: str, title: str, rows: Sequence[tuple[str, Gaps]], measures: tuple[Measure, ...]) -> Sheet:
    """A table of the measures that are defined in some row."""
    shown = tuple(
        measure for measure in measures if any(measure.key in found and found[measure.key].n for _, found in rows)
    )
    return Sheet(name, title, [Row(row, [difference(found, one) for one in shown]) for row, found in rows], shown)


def difference(found: Gaps, measure: Measure) -> Any:
    """One difference as it stands in a table; a ratio without a sign."""
    known = {measure.key: found[measure.key].to_dict()} if measure.key in found else {}
    return cell(known, measure, "-" if measure is PERPLEXITY_RATIO else "+")


def paired_words(runs: Sequence[Compared]) -> list[tuple[str, str]]:
    """(what is compared, its main differences in words) of each run but the first, by the decoding of the summary."""
    if unpaired(runs):
        return []
    first, *others = runs
    told = []
    for other in others:
        for way in ways_of(first, other)[:1]:
            found = gaps(first, other, way)
            told_of = [
                words.format(style.within(found[key], sign))
                + ("" if shows(key, found[key]) else " (no difference shown)")
                for key, words, style, sign in TOLD
                if key in found and not math.isnan(found[key].value)
            ]
            if told_of:
                told.append((f"{other.name} − {first.name}, {way}", "; ".join(told_of)))
    return told


def shows(key: str, known: Estimate) -> bool:
    """Whether the interval leaves out that there is no difference."""
    none = 1.0 if key == "perplexity_ratio" else 0.0
    return not known.low <= none <= known.high and not math.isnan(known.low)
