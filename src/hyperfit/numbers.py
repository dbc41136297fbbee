"""How numbers are written, everywhere: decimals, per cent, thousands, signs, and what is undefined.

A measure has one style: in a table, where its interval stands beside it, and, often shorter, in a sentence.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

UNDEFINED = "–"
Write = Callable[[float, str], str]
"""A value, and "+" if positive ones have a sign, or "-" → text."""


class Known(Protocol):
    """An estimate."""

    @property
    def value(self) -> float:
        """NaN where undefined."""

    @property
    def low(self) -> float:
        """Where its interval begins."""

    @property
    def high(self) -> float:
        """Where it ends."""


@dataclass(frozen=True)
class Style:
    """How the numbers of one kind are written."""

    table: Write
    """Where a heading tells the unit."""
    sentence: Write
    """Without the unit."""
    factor: float = 1
    """By which a value is multiplied, also where it is drawn."""
    unit: str = ""
    """What stands behind a number in a sentence."""

    def __call__(self, value: float, sign: str = "-") -> str:
        """As it stands in a table."""
        return self.table(value, sign)

    def told(self, value: float, sign: str = "-") -> str:
        """As it stands in a sentence."""
        return self.sentence(value, sign) + ("" if math.isnan(value) else self.unit)

    def interval(self, known: Known, sign: str = "-") -> str:
        """[low, high], for a table."""
        return f"[{self(known.low, sign)}, {self(known.high, sign)}]"

    def within(self, known: Known, sign: str = "-") -> str:
        """The value and its interval, if there is one, for a sentence."""
        if math.isnan(known.low) or math.isnan(known.high):
            return self.told(known.value, sign)
        value, low, high = (self.sentence(one, sign) for one in (known.value, known.low, known.high))
        return f"{value} [{low}, {high}]{self.unit}"


def decimal(value: float, digits: int, sign: str = "-", *, bare: bool = False) -> str:
    """A number with so many decimals, thousands set apart; bare: without a zero before the point. No sign at zero."""
    if math.isnan(value):
        return UNDEFINED
    if math.isinf(value):
        text = "∞"
    else:
        text = f"{abs(value):,.{digits}f}"
        text = text.removeprefix("0") if bare and digits else text
    if not text.strip("0.,"):
        return text
    return ("−" if value < 0 else "+" if sign == "+" else "") + text


def figures(value: float, most: int = 4) -> str:
    """So many significant digits, for numbers of any size; no decimals from a thousand on."""
    if math.isnan(value):
        return UNDEFINED
    return decimal(value, 0) if abs(value) >= 1000 else f"{value:.{most}g}".replace("-", "−")


def large(value: float, sign: str = "-") -> str:
    """A count as people say it: 11.7 million."""
    for size, name in ((1e9, " billion"), (1e6, " million")):
        if abs(value) >= size:
            return figures(value / size, 3) + name
    return decimal(value, 0, sign)


def fixed(digits: int, *, bare: bool = False) -> Style:
    """The same number of decimals in tables and sentences."""

    def write(value: float, sign: str) -> str:
        return decimal(value, digits, sign, bare=bare)

    return Style(write, write)


def _percent(value: float, sign: str) -> str:
    return decimal(100 * value, 1, sign)


def _share(value: float, sign: str) -> str:
    """Without decimals, but with one where that would say none or all of what is only nearly so."""
    percent = 100 * value
    nearly = 0 < abs(percent) < 0.95 or 99.5 <= abs(percent) < 100
    return decimal(percent, 1 if nearly else 0, sign)


def _billions(value: float, sign: str) -> str:
    size = value / 1e9
    return decimal(size, 2 if abs(size) < 9.995 else 1 if abs(size) < 99.95 else 0, sign)


def _millions(value: float, sign: str) -> str:
    return decimal(value / 1e6, 0, sign)


RATIO = fixed(3, bare=True)
""".645: at most 1, without a leading zero."""
PERCENT = Style(_percent, _share, factor=100, unit=" %")
"""A share: 64.5 in a table, 65 % in a sentence."""
POINTS = Style(_percent, _percent, factor=100, unit=" points")
"""The difference of two shares."""
TENTHS, HUNDREDTHS, THOUSANDTHS = fixed(1), fixed(2), fixed(3)
COUNT = Style(lambda value, sign: decimal(value, 0, sign), large)
"""3,153,920 in a table, 3.15 million in a sentence."""
MEGABYTES = Style(_millions, _millions, factor=1e-6)
"""Bytes, 1,500,000,000, as 1,500."""
GIGABYTES = Style(_billions, _billions, factor=1e-9)
"""Bytes, 1,500,000,000, as 1.50; fewer decimals where there are many."""
PERPLEXITY = Style(
    lambda value, sign: decimal(value, 1 if abs(value) < 99.95 else 0, sign),
    lambda value, sign: decimal(value, 1 if abs(value) < 9.95 else 0, sign),
)
"""Fewer decimals where it is large: 92.3 and 1,060 in a table, 92 and 1,060 in a sentence."""

STYLES: dict[str, Style] = {
    **dict.fromkeys(
        ("ttr", "human_ttr", "bigram_repetition", "trigram_repetition", "diversity", "mattr", "hdd"), RATIO
    ),
    **dict.fromkeys(("distinct_1", "distinct_2", "distinct_3", "mauve", "rank_correlation", "js", "cosine"), RATIO),
    **dict.fromkeys(("spearman", "relative_l2"), RATIO),
    **dict.fromkeys(("word_share", "loop_share", "long_overlap_share", "novel_4grams", "novel_8grams"), PERCENT),
    **dict.fromkeys(("blocked_steps", "changed_choices", "top1_mass", "top3_mass", "top5_mass"), PERCENT),
    **dict.fromkeys(("top1_agreement_with_base", "top1_agreement", "top5_overlap", "top10_overlap"), PERCENT),
    **dict.fromkeys(("calibration_error", "agreement", "override", "deep"), PERCENT),
    **dict.fromkeys(("self_bleu", "dataset_bleu", "corpus_dataset_bleu", "mtld", "longest_overlap"), TENTHS),
    **dict.fromkeys(("loop_period", "loop_onset", "epoch", "l2", "dim_base", "dim_tuned", "delta_dim"), TENTHS),
    **dict.fromkeys(
        ("compression", "coherence", "entropy", "kl", "reverse_kl", "temperature", "perplexity_ratio"), HUNDREDTHS
    ),
    **dict.fromkeys(("train_loss", "val_loss", "loss", "loss_base", "loss_hyperfitted", "loss_change"), THOUSANDTHS),
    **dict.fromkeys(("ours", "paper"), THOUSANDTHS),
    **dict.fromkeys(("ours_share", "paper_share"), PERCENT),
    **dict.fromkeys(("most_overlap", "rank", "parameters", "epochs", "seconds"), COUNT),
    **dict.fromkeys(("first_window", "middle_window", "last_window", "change", "ttr_change", "regret"), RATIO),
    **dict.fromkeys(("epochs_saved", "texts_with_run", "task_base", "task_hyperfitted", "task_change"), PERCENT),
    **dict.fromkeys(("task_score", "task_chance", "undone"), PERCENT),
    **dict.fromkeys(("first_words", "middle_words", "last_words"), PERCENT),
    **dict.fromkeys(("preference", "judge_preference", "preferred_or_equal", "preferred", "equal"), PERCENT),
    **dict.fromkeys(("other_preferred", "wins", "with_majority", "gold", "repeat", "left"), PERCENT),
    **dict.fromkeys(("log_odds",), HUNDREDTHS),
    **dict.fromkeys(("colour_ttr", "row_repetition", "column_repetition", "colour_distance"), RATIO),
    **dict.fromkeys(("row_likeness", "row_loop_share", "told_apart", "copied_share"), PERCENT),
    **dict.fromkeys(("row_loop_onset", "nearest_training"), TENTHS),
    "spectrum_distance": HUNDREDTHS,
    "kernel_distance": THOUSANDTHS,
    **dict.fromkeys(("weight_norm", "weight_distance", "text_seconds"), HUNDREDTHS),
    "peak_memory": MEGABYTES,
    "perplexity": PERPLEXITY,
}
"""How each measure is written, by its name in the files of a run."""


def style_of(measure: str) -> Style:
    """How a measure is written; three decimals where its name is not known."""
    return STYLES.get(measure, THOUSANDTHS)
