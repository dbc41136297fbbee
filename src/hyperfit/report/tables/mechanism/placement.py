"""Where to adapt, as tables: the second table of Li et al. (2026) for any model, and how each trial was trained."""

from typing import Any

from hyperfit.report.tables.evaluations.papers import published_rows
from hyperfit.report.tables.evaluations.published import PUBLISHED
from hyperfit.report.tables.measures import (
    AGREEMENT,
    DIVERSITY,
    MEMORISATION,
    PERPLEXITY,
    SHARPNESS,
    TTR,
    WORDS,
    Measure,
)
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
    Measure("rank", "rank", "Of the adapters; 1 to the model's width."),
    Measure("parameters", "trained parameters", "Numbers that training changes."),
    Measure("train_loss", "training loss", "Of the last epoch, nats per token; 0 or more."),
    Measure("epochs", "epochs", "Until the loss was reached, the epochs were used up, or the time was."),
    Measure(
        "seconds",
        "seconds",
        "Of training on the machine at hand, filling the prefix cache included, looks between epochs not.",
    ),
)
SUFFIX = {"rank": "", "parameters": ", equal parameters", "time": ", equal time"}
"""How the names of rows say what is equal."""


def placement_tables(found: Found) -> list[Sheet]:
    """The places beside the paper's two models, and how each trial was trained. Diverged trials have no measures."""
    late, depth, known = found["late"], found["depth"], PUBLISHED["placement"]
    trials = sorted(found["trials"], key=lambda trial: list(SUFFIX).index(trial["equal"]))
    rows: list[Row] = []
    for name, kind, measures in (
        ("base", "base", found["base"]),
        *(
            (named(trial, depth), kind_of(trial, late, depth), trial["measures"])
            for trial in trials
            if compared(trial, found)
        ),
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
            [
                Row(named(trial, depth), [cell({**trial, **trial["measures"]}, one) for one in trained])
                for trial in trials
            ],
            trained,
        ),
    ]


def compared(trial: Found, found: Found) -> bool:
    """Whether a trial belongs into the table of places: not the numbers of blocks between late and all."""
    return trial["place"] not in ("last", "late-full") or len(trial["blocks"]) in (found["late"], found["depth"])


def kind_of(trial: Found, late: int, depth: int) -> str:
    """The row of the paper's table that a trial is to be held against; "" for none."""
    if trial["equal"] != "rank":
        return ""
    if trial["place"] == "last":
        return "all blocks" if len(trial["blocks"]) == depth else "late blocks" if len(trial["blocks"]) == late else ""
    return "all parameters" if trial["place"] == "full" else ""


def named(trial: Found, depth: int) -> str:
    """A trial as a row is called."""
    count = len(trial["blocks"])
    where = f"LoRA, {trial['place']} {count}"
    if trial["place"] == "last" and count == depth:
        where = f"LoRA, all {count}"
    if trial["place"] == "late-full":
        where = f"all parameters of the last {count}"
    if trial["place"] == "full":
        where = "all parameters"
    return where + SUFFIX[trial["equal"]] + (" (diverged)" if trial["reason"] == "nan" else "")
