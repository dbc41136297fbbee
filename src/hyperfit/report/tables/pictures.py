"""The table of completed pictures: every measure of each condition."""

from collections.abc import Mapping

from hyperfit.image.measures.repetition import GRAM
from hyperfit.image.measures.score import COPIED
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT
from hyperfit.report.tables.measures import Measure
from hyperfit.report.tables.table import Row, Sheet, cell

MEASURES = (
    Measure("colour_ttr", "colours, TTR", "Different colours / pixels that were added; 0 to 1."),
    Measure("row_repetition", f"rows, rep-{GRAM}", "1 - different runs of pixels along the added rows / all; 0 to 1."),
    Measure("column_repetition", f"columns, rep-{GRAM}", "The same along the columns of these rows; 0 to 1."),
    Measure("row_likeness", "row above, %", "Added pixels of the colour of the one above; 0 to 100 %."),
    Measure("row_loop_share", "loops, %", "Pictures that end in rows that repeat three times or more; 0 to 100 %."),
    Measure(
        "row_loop_onset", "loop begins", "Added rows before such a loop, of the pictures that have one; 0 or more."
    ),
    Measure("colour_distance", "colours off", "Half the difference of colour shares from the original's; 0 to 1."),
    Measure(
        "spectrum_distance",
        "spectrum off",
        "Difference of the logarithms to base 10 of the powers at each frequency from the original's; 0 or more.",
    ),
    Measure(
        "told_apart",
        "told apart, %",
        "Pictures of which a classifier tells whether they are completions or originals; 50 % where they are alike.",
    ),
    Measure(
        "nearest_training",
        "nearest training",
        "Distance of what was added from the same part of the nearest training picture; 0 to 255.",
    ),
    Measure(
        "longest_overlap",
        "longest run",
        "Pixels, read row by row, of the longest run of what was added that also stands in a training picture; any "
        "plain ground has long ones.",
    ),
    Measure(
        "copied_share", "copied, %", f"Pictures whose distance to the nearest one is below {COUNT(COPIED)}; 0 to 100 %."
    ),
)
ASKED = (
    Measure(
        "kernel_distance",
        "KID",
        "Kernel inception distance from the originals, in the features of the model that was named; about 0 where both "
        "are alike.",
    ),
    Measure(
        "changed_choices",
        "choices changed, %",
        "Added pixels at which blocking citations forbade the likeliest colour.",
    ),
)
"""Measures that only some completions have."""


def picture_sheet(scores: Mapping[str, Mapping[str, Estimate]]) -> Sheet:
    """The table of ``hyperfit.image.measures.score``; of what is measured only if asked for, a column if it was."""
    asked = [one for one in ASKED if any(one.key in found for found in scores.values())]
    measures = (*MEASURES, *asked)
    rows = [
        Row(name, [cell({key: one.to_dict() for key, one in found.items()}, measure) for measure in measures])
        for name, found in scores.items()
    ]
    return Sheet("pictures", "Completed pictures", rows, measures, "pictures")


def difference_sheet(comparisons: Mapping[str, Mapping[str, Estimate]]) -> Sheet:
    """``one - other`` → measure → difference over the same pictures."""
    measures = [one for one in MEASURES if any(one.key in found for found in comparisons.values())]
    rows = [
        Row(name, [cell({key: one.to_dict() for key, one in found.items()}, measure, "+") for measure in measures])
        for name, found in comparisons.items()
    ]
    return Sheet("differences", "Paired differences", rows, tuple(measures), "pictures")


LIKELIHOOD = Measure("loss", "nats per pixel", "Mean -log p of the pixels that really follow; 0 or more.")


def likelihood_sheet(likelihoods: Mapping[str, Estimate]) -> Sheet:
    """Model → how likely it finds the pictures as they really go on; differences by name, ``one - other``."""
    rows = [
        Row(name, [cell({LIKELIHOOD.key: one.to_dict()}, LIKELIHOOD, "+" if " - " in name else "-")])
        for name, one in likelihoods.items()
    ]
    return Sheet("likelihood", "How likely the pictures themselves are", rows, (LIKELIHOOD,), "pictures")
