"""What a measure can be: an interval of Student's kind may reach beyond it."""

import math
from dataclasses import replace

from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.score import ALL_SHARES
from hyperfit.studies.study import Chart, Findings, Row, Scatter, Table

SHARE, HUNDRED, AMOUNT, BELOW_ZERO = (0.0, 1.0), (0.0, 100.0), (0.0, math.inf), (-math.inf, 0.0)
RANGES = {
    **dict.fromkeys(ALL_SHARES, SHARE),
    **dict.fromkeys(
        (
            "ttr", "word_share", "bigram_repetition", "trigram_repetition", "novel_4grams", "novel_8grams",
            "top1_agreement", "top1_agreement_with_base", "top1_mass", "top3_mass", "top5_mass", "epochs_saved",
            "texts_with_run", "first_window", "middle_window", "last_window", "first_words",
            "middle_words", "last_words", "mauve", "task_score", "task_base",
            "task_hyperfitted", "task_chance", "colour_ttr", "row_repetition", "column_repetition", "row_likeness",
            "row_loop_share", "colour_distance", "copied_share", "told_apart", "ours_share",
        ),
        SHARE,
    ),
    **dict.fromkeys(("self_bleu", "dataset_bleu"), HUNDRED),
    **dict.fromkeys(
        (
            "train_loss", "val_loss", "loss", "entropy", "longest_overlap", "most_overlap", "perplexity", "epoch",
            "epochs", "regret", "undone", "weight_norm", "weight_distance", "loss_base", "loss_hyperfitted", "seconds",
            "text_seconds", "parameters", "peak_memory", "spectrum_distance", "nearest_training", "row_loop_onset",
        ),
        AMOUNT,
    ),
    "coherence": BELOW_ZERO,
}  # fmt: skip
"""Measure → its least and its largest value; no range: a difference, or what has none."""


def in_range(measure: str, found: Estimate) -> Estimate:
    """The estimate, its interval cut where the measure ends."""
    least, most = RANGES.get(measure, (-math.inf, math.inf))
    if math.isnan(found.low) or math.isnan(found.high):
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, most))


def within_ranges(told: Findings) -> Findings:
    """All that a study found, each interval inside of what its measure can be."""
    return replace(
        told,
        tables=[of_table(one) for one in told.tables],
        charts=[of_chart(one) for one in told.charts],
        scatters=[of_scatter(one) for one in told.scatters],
    )


def of_table(table: Table) -> Table:
    """A table's intervals in range."""
    rows = [
        Row(row.name, {key: in_range(table.of or key, cell) for key, cell in row.cells.items()}, row.source)
        for row in table.rows
    ]
    return replace(table, rows=rows)


def of_chart(chart: Chart) -> Chart:
    """A chart's intervals in range."""
    lines = [
        replace(line, points=[(at, in_range(chart.measure, one)) for at, one in line.points]) for line in chart.lines
    ]
    return replace(chart, lines=lines)


def of_scatter(scatter: Scatter) -> Scatter:
    """A scatter's intervals in range."""
    points = [replace(one, x=in_range(scatter.x, one.x), y=in_range(scatter.y, one.y)) for one in scatter.points]
    return replace(scatter, points=points)
