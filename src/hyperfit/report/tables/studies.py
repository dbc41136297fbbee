"""Tables of the studies, with the names and meanings that measures have everywhere."""

from typing import Any

from hyperfit.report.tables.measures import (
    AGREEMENT,
    ALIKE,
    DIVERSITY,
    LEXICAL,
    LIKENESS,
    LOOPS,
    LOSSES,
    MEMORISATION,
    SHARPNESS,
    TASKS,
    WORDS,
    Measure,
)
from hyperfit.report.tables.mechanism.placement import TRAINING
from hyperfit.report.tables.pictures import MEASURES as PICTURES
from hyperfit.report.tables.table import Row, Sheet, cell

Found = dict[str, Any]
"""What NAME.json of a study holds."""

OWN = (
    Measure("epoch", "epoch", "After which the model was taken, mean over seeds."),
    Measure("val_loss", "validation loss", "On held-out sequences, nats per token; 0 or more."),
    Measure("loss", "loss", "Nats per token; 0 or more."),
    Measure("texts_with_run", "texts, %", "Share of texts with a run of training data of that length or more."),
    Measure("weight_norm", "norm of the weights", "Frobenius norm of all weights that training changed."),
    Measure("weight_distance", "distance from the start", "Frobenius norm of what training added to them."),
    Measure("first_window", "TTR, first", "Type-token ratio of the first 96 tokens behind the context."),
    Measure("middle_window", "TTR, middle", "The same in the middle of the text."),
    Measure("last_window", "TTR, last", "The same of the last 96 tokens."),
    Measure("first_words", "words, first, %", "Words of the first 96 tokens that are words."),
    Measure("middle_words", "words, middle, %", "The same in the middle of the text."),
    Measure("last_words", "words, last, %", "The same of the last 96 tokens."),
    Measure("change", "last − first", "Difference over the same texts."),
    Measure(
        "ttr_change",
        "TTR, change",
        "Paired difference of the type-token ratio, over the same contexts and seeds, from what the study compares "
        "with; intervals hold for all that are compared at once.",
    ),
    Measure("undone", "rise undone, %", "Share of the validation loss's rise above its best that is undone later."),
    Measure("regret", "regret", "Type-token ratio of the best epoch that does not recite, less that reached."),
    Measure("epochs_saved", "epochs saved, %", "Share of the epochs of a run that come after its end by the rule."),
    Measure("ours", "here", "Mean over seeds; the range is that of all seeds' intervals."),
    Measure("paper", "Li et al., TinyLlama", "As notes on the paper give it; – is a figure not known here."),
    Measure("ours_share", "here, %", "Mean over seeds; the range is that of all seeds' intervals."),
    Measure("paper_share", "Li et al., TinyLlama, %", "As notes on the paper give it; – is a figure not known here."),
    Measure(
        "text_seconds",
        "seconds a text",
        "To write one, of all written at once, on the machine that the answer names, beside what else it did.",
    ),
    Measure(
        "peak_memory",
        "peak memory, MB",
        "While an epoch was trained, 10^6 bytes: of a GPU what was allocated, else what of the process was resident.",
    ),
    Measure("task_score", "score, %", "Mean over examples and seeds; 0 to 100 %."),
    Measure("task_hyperfitted", "hyperfitted, %", "The same of the hyperfitted model, and over seeds."),
    Measure("loss_hyperfitted", "hyperfitted", "The same of the hyperfitted model, and over seeds."),
)
EVERY = (
    WORDS,
    *DIVERSITY,
    *LEXICAL,
    *LOOPS,
    *MEMORISATION,
    *SHARPNESS,
    *AGREEMENT,
    *LIKENESS,
    *ALIKE,
    *TRAINING,
    *OWN,
    *TASKS,
    *LOSSES,
    *PICTURES,
)
MEASURES: dict[str, Measure] = {one.key: one for one in reversed(EVERY)}


def study_tables(found: Found) -> list[Sheet]:
    """The tables of one study."""
    return [
        Sheet(
            table["name"],
            table["title"],
            [
                Row(row["name"], [cell(row["cells"], one) for one in columns(table)], row["source"])
                for row in table["rows"]
            ],
            tuple(columns(table)),
            table["unit"],
            shaded=bool(table.get("of")),
        )
        for table in found["tables"]
    ]


def columns(table: Found) -> list[Measure]:
    """The measures of a table; of a matrix, its one measure under the names of the columns."""
    if of := table.get("of"):
        return [Measure(name, name, "", like=of) for name in measured(table)]
    return [measure_of(key) for key in measured(table)]


def measured(table: Found) -> list[str]:
    """Measures of which at least one row has a value: some need a scorer, or longer texts."""
    return [
        key
        for key in table["measures"]
        if any((row["cells"].get(key) or {}).get("value") is not None for row in table["rows"])
    ]


def measure_of(key: str) -> Measure:
    """What a number is called; one that is not known by its key."""
    return MEASURES.get(key, Measure(key, key.replace("_", " "), "As the study says."))
