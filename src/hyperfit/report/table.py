"""The numbers of an evaluation as two tables, derived once, for the terminal and for the page."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from hyperfit.measure.diversity import TTR_WINDOW
from hyperfit.measure.estimate import Estimate

Show = Callable[[float], str]


def ratio(value: float, sign: str = "-") -> str:
    """.645: a number of at most 1, three digits, no leading zero; ``sign`` "+" also marks positive ones."""
    return "–" if math.isnan(value) else f"{value:{sign}.3f}".replace("0.", ".", 1).replace("-", "−")


def number(digits: int, factor: float = 1) -> Show:
    """A number with a fixed count of decimals, after multiplication by ``factor``."""
    return lambda value: "–" if math.isnan(value) else f"{factor * value:,.{digits}f}".replace("-", "−")


def perplexity(value: float) -> str:
    """One decimal below 100, none from there on."""
    return number(1 if value < 100 else 0)(value)


@dataclass(frozen=True)
class Measure:
    """What a number is called in evaluation.json and in the tables, how it is written, and what it means."""

    key: str
    heading: str
    show: Show
    meaning: str
    """One sentence with the range."""


TEXT_MEASURES = (
    Measure(
        "ttr",
        "TTR",
        ratio,
        f"Type–token ratio: different tokens / tokens in the last {TTR_WINDOW} of a continuation; above 0 to 1, where "
        "1 means that no token comes twice.",
    ),
    Measure(
        "bigram_repetition",
        "bigram repetition",
        ratio,
        "1 − different token pairs / token pairs of a continuation; 0, where none repeats, to below 1.",
    ),
    Measure("trigram_repetition", "trigram repetition", ratio, "The same of three tokens in a row; 0 to below 1."),
    Measure(
        "longest_overlap",
        "overlap, mean",
        number(1),
        "Tokens of the longest run of a continuation that also stands in a training sequence; 0 to its length.",
    ),
    Measure("most_overlap", "max", number(0), "The longest such run in any of the texts; a maximum has no interval."),
    Measure(
        "long_overlap_share",
        "over 10, %",
        number(1, 100),
        "Share of the texts whose overlap is longer than 10 tokens; 0 to 100 %.",
    ),
)
MODEL_MEASURES = (
    Measure("perplexity", "perplexity", perplexity, "exp of the mean loss on the human continuations; 1 or more."),
    Measure(
        "entropy",
        "entropy, nats",
        number(2),
        "Mean entropy of the predicted distributions; 0, where all mass is on one token, to log of the vocabulary.",
    ),
    Measure(
        "top1_mass", "@1, %", number(1, 100), "Probability of the likeliest token, mean over positions; 0 to 100 %."
    ),
    Measure("top3_mass", "@3, %", number(1, 100), "The same of the three likeliest tokens together."),
    Measure("top5_mass", "@5, %", number(1, 100), "The same of the five likeliest tokens together."),
    Measure(
        "top1_agreement_with_base",
        "top-1 agreement, %",
        number(1, 100),
        "Share of positions at which the likeliest token is that of the base model; 0 to 100 %.",
    ),
)


@dataclass(frozen=True)
class Cell:
    """A number as it is printed, and its interval, if it has one."""

    value: str
    interval: str = ""
    n: int = 0

    def __str__(self) -> str:
        return f"{self.value} {self.interval}".strip()


@dataclass(frozen=True)
class Sheet:
    """A table: names of its columns, and rows of a name and one cell a column."""

    title: str
    columns: list[str]
    rows: list[tuple[str, list[Cell]]]
    measures: tuple[Measure, ...]

    @property
    def caption(self) -> str:
        """How many contexts stand behind the numbers, and what the brackets are."""
        counts = sorted({cell.n for _, cells in self.rows for cell in cells if cell.interval})
        if not counts:
            return "No number is defined."
        n = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return f"n = {n} contexts; 95 % intervals in brackets."


def sheets(evaluation: Mapping[str, Any]) -> tuple[Sheet, Sheet]:
    """What the models write, a row a condition; and how they predict human text, a column a model.

    evaluation: what hyperfit.evaluate returns and evaluation.json holds. What it lacks prints as "–".
    """
    conditions, models = evaluation.get("conditions", {}), evaluation.get("models", {})
    order = sorted(conditions, key=lambda name: name == "human")  # stable: human last, else as evaluated
    written = Sheet(
        "What the models write",
        [measure.heading for measure in TEXT_MEASURES],
        [(name, [cell(conditions[name], measure) for measure in TEXT_MEASURES]) for name in order],
        TEXT_MEASURES,
    )
    predicted = Sheet(
        "How they predict human text",
        list(models),
        [(measure.heading, [cell(models[name], measure) for name in models]) for measure in MODEL_MEASURES],
        MODEL_MEASURES,
    )
    return written, predicted


def cell(measures: Mapping[str, Any], measure: Measure) -> Cell:
    """One measure of a condition or model: an estimate, a plain number, or nothing."""
    found = measures.get(measure.key)
    if not isinstance(found, Mapping):
        return Cell(measure.show(math.nan if found is None else found))
    known = Estimate.from_dict(dict(found))
    if math.isnan(known.value):
        return Cell(measure.show(math.nan))
    return Cell(measure.show(known.value), interval(known, measure.show), known.n)


def interval(known: Estimate, show: Show) -> str:
    """[low, high]"""
    return f"[{show(known.low)}, {show(known.high)}]"


def terminal_table(evaluation: Mapping[str, Any]) -> Table:
    """Both tables, one below the other; readable from 80 columns on."""
    both = Table.grid()
    written, predicted = sheets(evaluation)
    both.add_row(terminal_sheet(written, "\n"))
    both.add_row()
    both.add_row(terminal_sheet(predicted, " "))
    return both


def terminal_sheet(sheet: Sheet, between: str) -> Table:
    """One table for the terminal; ``between`` stands between a value and its interval."""
    table = Table(title=sheet.title, caption=sheet.caption, box=SIMPLE_HEAD, show_edge=False, padding=0)
    table.title_justify = table.caption_justify = "left"
    table.title_style, table.caption_style = "bold", "dim"
    table.add_column("")
    for heading in sheet.columns:
        table.add_column(heading, justify="right")
    for name, cells in sheet.rows:
        shown = [Text.assemble(one.value, (between + one.interval if one.interval else "", "dim")) for one in cells]
        table.add_row(Text(name.replace("/", "/" + between.strip(" "))), *shown)
    return table
