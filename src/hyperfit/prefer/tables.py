"""A study's scores as tables and sentences."""

import math
from collections.abc import Iterator, Mapping

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT, POINTS, RATIO, Style
from hyperfit.prefer.statistics.annotators import Reliability
from hyperfit.prefer.statistics.score import PairScore, Scores
from hyperfit.prefer.statistics.shares import Pair, Shares
from hyperfit.prefer.statistics.significance import POWER
from hyperfit.report.tables.measures import Measure
from hyperfit.report.tables.table import Cell, Row, Sheet

SHARES = (
    Measure("preferred_or_equal", "preferred or equal, %", "Share of the judgements for the first, or for neither."),
    Measure("preferred", "preferred, %", "Share of the judgements for the first; 0 to 100 %."),
    Measure("equal", "equal, %", "Share of the judgements for neither."),
    Measure("other_preferred", "other preferred, %", "Share of the judgements for the second."),
)
STRENGTHS = (
    Measure("log_odds", "log-odds", "Of winning against the reference in the model of Bradley and Terry."),
    Measure("wins", "wins, %", "Probability of winning against the reference that this says, a tie half a win."),
)
ANNOTATORS = (
    Measure("with_majority", "with the majority, %", "Share that agrees with what most others chose."),
    Measure("gold", "gold, %", "Share of the gold items that were answered as expected."),
    Measure("repeat", "repeated, %", "Share of the repeated items that were answered as the first time."),
    Measure("equal", "equal, %", "Share of ties."),
    Measure("left", "left, %", "Share of the choices that took the text on the left; 50 % if the side is nothing."),
    Measure("seconds", "seconds", "Median time for an item."),
)
LEAST_RELIABLE = 2
"""Annotators from which on each has a row."""


def sheets(scores: Scores) -> list[Sheet]:
    """All tables that have more than a row's worth to say."""
    pairs = {name_of(pair): one for pair, one in scores.pairs.items()}
    found = [shares_sheet("preference", "Preference", {name: one.shares for name, one in pairs.items()})]
    groups = (
        ("domain", "by domain", {name: one.by_domain for name, one in pairs.items()}),
        ("length", "by length in tokens, up to", {name: one.by_length for name, one in pairs.items()}),
        ("question", "by question", {name: one.questions for name, one in pairs.items()}),
    )
    for key, title, by in groups:
        rows = {f"{name}, {group}": one for name, of in by.items() for group, one in of.items()}
        if len(rows) > len(pairs) or (rows and key == "question"):
            found.append(shares_sheet(f"preference_{key}", f"Preference {title}", rows))
    if len(scores.strengths) > 2:
        rows_of = {name: {"log_odds": one.log_odds, "wins": one.wins} for name, one in scores.strengths.items()}
        title = f"Strength (Bradley–Terry), {scores.reference} = 0"
        found.append(sheet_of("strengths", title, rows_of, STRENGTHS))
    if len(scores.each_annotator) >= LEAST_RELIABLE:
        found.append(annotators_sheet({**scores.each_annotator, "all": scores.all_annotators}))
    return found


def name_of(pair: Pair) -> str:
    """How a pair is called in tables."""
    return f"{pair[0]} against {pair[1]}"


def shares_sheet(name: str, title: str, rows: Mapping[str, Shares]) -> Sheet:
    """A row a pair."""
    return sheet_of(
        name, title, {row: {one.key: getattr(of, one.key) for one in SHARES} for row, of in rows.items()}, SHARES
    )


def annotators_sheet(rows: Mapping[str, Reliability]) -> Sheet:
    """A row an annotator; columns that nobody has anything in are left out."""
    of = {
        name: {one.key: getattr(row, one.key) for one in ANNOTATORS if one.key != "seconds"}
        | {"seconds": Estimate(row.seconds, math.nan, math.nan, row.judgements)}
        for name, row in rows.items()
    }
    shown = tuple(one for one in ANNOTATORS if any(not math.isnan(row[one.key].value) for row in of.values()))
    return sheet_of("annotators", "Annotators", of, shown)


def sheet_of(name: str, title: str, rows: Mapping[str, Mapping[str, Estimate]], measures: tuple[Measure, ...]) -> Sheet:
    """A table of estimates."""
    return Sheet(
        name,
        title,
        [Row(row, [cell_of(of[one.key], one) for one in measures]) for row, of in rows.items()],
        measures,
        "judgements",
    )


def cell_of(known: Estimate, measure: Measure) -> Cell:
    """One number and its interval."""
    beside = "" if math.isnan(known.low) or known.low == known.high else measure.show.interval(known)
    return Cell(measure.show(known.value), beside, known)


def sentences(scores: Scores) -> Iterator[str]:
    """What the tables do not hold: how much was judged, tests, power, comparisons, agreement."""
    annotators = f"{COUNT(scores.annotators)} annotators" if scores.annotators > 1 else "one annotator"
    yield (
        f"{COUNT(scores.judgements)} judgements of {COUNT(scores.items)} pairs of texts after "
        f"{COUNT(scores.contexts)} contexts by {annotators}. Intervals are over annotators and contexts."
    )
    for pair, one in scores.pairs.items():
        yield tested(pair, one)
    for (one_name, other), found in scores.compared.items():
        yield f"{one_name} − {other}, preferred or equal to human text: {known(POINTS, found, '+')}."
    if math.isnan(scores.alpha.value):
        return
    yield (
        f"Agreement beyond chance: Fleiss' κ {known(HUNDREDTHS, scores.kappa)}, Krippendorff's α "
        f"{known(HUNDREDTHS, scores.alpha)}; {known(PERCENT, scores.all_annotators.with_majority)} of judgements are "
        "those of most others."
    )


def tested(pair: Pair, one: PairScore) -> str:
    """Whether a difference is shown, and what would show it."""
    found, tests = one.shares, one.significance
    line = (
        f"{name_of(pair)}: {known(POINTS, found.difference, '+')}, p {probability(tests.p)} "
        f"(binomial, as if judgements were independent: p {probability(tests.p_binomial)}"
    )
    effect = "" if math.isnan(found.design_effect) else f"; design effect {HUNDREDTHS(found.design_effect)}"
    if tests.needed is None:
        return f"{line}{effect}); no difference is seen."
    chance = PERCENT.told(POWER)
    if not tests.more:
        return f"{line}{effect}); so many judgements show a difference of this size {chance} of the time or oftener."
    return (
        f"{line}{effect}); to show a difference of this size {chance} of the time takes {COUNT(tests.needed)} "
        f"judgements, {COUNT(tests.more)} more, by annotators and on contexts added in proportion."
    )


def probability(p: float) -> str:
    """A p value: = three decimals, or < .001."""
    return f"< {RATIO(0.001)}" if p < 0.001 else f"= {RATIO(p)}"


def known(style: Style, found: Estimate, sign: str = "-") -> str:
    """A value for a sentence, with its interval if it has one."""
    return style.told(found.value, sign) if math.isnan(found.low) else style.within(found, sign)
