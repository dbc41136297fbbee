"""Where to adapt, as tables: the second table of Li et al. (2026) for any model, and how each arm was trained."""

from typing import Any

from hyperfit.report.tables.measures import (
    AGREEMENT,
    DIVERSITY,
    MEMORISATION,
    PERPLEXITY,
    SHARPNESS,
    TTR,
    WORDS,
    Measure,
    number,
)
from hyperfit.report.tables.papers import published_rows
from hyperfit.report.tables.published import PUBLISHED
from hyperfit.report.tables.table import Row, Sheet, cell

Found = dict[str, Any]
"""The study's part of mechanism.json."""

MEASURES: tuple[Measure, ...] = (
    TTR,
    WORDS,
    *(one for one in DIVERSITY if one.key in ("bigram_repetition", "trigram_repetition")),
    *(one for one in MEMORISATION if one.key in ("longest_overlap", "long_overlap_share")),
    *(one for one in AGREEMENT if one.key == "top1_agreement_with_base"),
    *(one for one in SHARPNESS if one.key == "entropy"),
    PERPLEXITY,
)
TRAINING: tuple[Measure, ...] = (
    Measure("rank", "rank", number(0), "Of the adapters; 1 to the model's width."),
    Measure("parameters", "trained parameters", number(0), "Numbers that training changes."),
    Measure("train_loss", "training loss", number(3), "Of the last epoch, nats per token; 0 or more."),
    Measure("epochs", "epochs", number(0), "Until the loss was reached, the epochs were used up, or the time was."),
    Measure(
        "seconds",
        "seconds",
        number(0),
        "Of training on the machine at hand, filling the prefix cache included, looks between epochs not.",
    ),
)
SUFFIX = {"rank": "", "parameters": ", equal parameters", "time": ", equal time"}
"""How the names of rows say what is equal."""


def placement_tables(found: Found) -> list[Sheet]:
    """The places beside the paper's two models, and how each arm was trained. Diverged arms have no measures."""
    late, depth, known = found["late"], found["depth"], PUBLISHED["placement"]
    arms = sorted(found["arms"], key=lambda arm: list(SUFFIX).index(arm["equal"]))
    rows: list[Row] = []
    for name, kind, measures in (
        ("base", "base", found["base"]),
        *((named(arm, depth), kind_of(arm, late, depth), arm["measures"]) for arm in arms if compared(arm, found)),
        ("human", "", found["human"]),
    ):
        rows.append(Row(name, [cell(measures, measure) for measure in MEASURES]))
        rows += published_rows(known, kind, MEASURES)
    trained = (TTR, WORDS, *(one for one in MEASURES if one.key == "longest_overlap"), *TRAINING)
    return [
        Sheet("placement", "Where to adapt", rows, MEASURES),
        Sheet(
            "placement-training",
            "Every training",
            [Row(named(arm, depth), [cell({**arm, **arm["measures"]}, one) for one in trained]) for arm in arms],
            trained,
        ),
    ]


def compared(arm: Found, found: Found) -> bool:
    """Whether an arm belongs into the table of places: not the numbers of blocks between late and all."""
    return arm["place"] != "last" or len(arm["blocks"]) in (found["late"], found["depth"])


def kind_of(arm: Found, late: int, depth: int) -> str:
    """The row of the paper's table that an arm is to be held against; "" for none."""
    if arm["equal"] != "rank":
        return ""
    if arm["place"] == "last":
        return "all blocks" if len(arm["blocks"]) == depth else "late blocks" if len(arm["blocks"]) == late else ""
    return "all parameters" if arm["place"] == "full" else ""


def named(arm: Found, depth: int) -> str:
    """An arm as a row is called."""
    count = len(arm["blocks"])
    where = "all parameters" if arm["place"] == "full" else f"LoRA, {arm['place']} {count}"
    if arm["place"] == "last" and count == depth:
        where = f"LoRA, all {count}"
    return where + SUFFIX[arm["equal"]] + (" (diverged)" if arm["reason"] == "nan" else "")
