"""Tables of the studies, with the names and meanings that measures have everywhere."""

from typing import Any

from hyperfit.report.tables.measures import (
    AGREEMENT,
    ALIKE,
    DIVERSITY,
    LEXICAL,
    LOOPS,
    MEMORISATION,
    SHARPNESS,
    WORDS,
    Measure,
)
from hyperfit.report.tables.placement import TRAINING
from hyperfit.report.tables.table import Row, Sheet, cell

Found = dict[str, Any]
"""What NAME.json of a study holds."""

OWN = (
    Measure("epoch", "epoch", "After which the model was taken, mean over seeds."),
    Measure("val_loss", "validation loss", "On held-out sequences, nats per token; 0 or more."),
    Measure("loss", "loss", "Nats per token; 0 or more."),
)
EVERY = (WORDS, *DIVERSITY, *LEXICAL, *LOOPS, *MEMORISATION, *SHARPNESS, *AGREEMENT, *ALIKE, *TRAINING, *OWN)
MEASURES: dict[str, Measure] = {one.key: one for one in reversed(EVERY)}


def study_tables(found: Found) -> list[Sheet]:
    """The tables of one study."""
    return [
        Sheet(
            table["name"],
            table["title"],
            [
                Row(row["name"], [cell(row["cells"], measure_of(key)) for key in table["measures"]], row["source"])
                for row in table["rows"]
            ],
            tuple(measure_of(key) for key in table["measures"]),
            table["unit"],
        )
        for table in found["tables"]
    ]


def measure_of(key: str) -> Measure:
    """What a number is called; one that is not known by its key."""
    return MEASURES.get(key, Measure(key, key.replace("_", " "), "As the study says."))
