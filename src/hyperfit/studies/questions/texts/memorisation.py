"""Carlsson et al. (2025), table 2 and figure 3: how much of what is written stands in the training data."""

import math

import numpy as np

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, PAPER_LONG_SHARE, PAPER_OVERLAP
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT, RATIO, TENTHS
from hyperfit.recipes.recipe import MOST_COPYING
from hyperfit.studies.measures.bench import BLOCKED, named
from hyperfit.studies.measures.pooled import pooled_share
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.questions.texts.main import LABEL, trials
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Row, Study, Table
from hyperfit.studies.words import answer

MEASURES = (
    "longest_overlap", "most_overlap", "long_overlap_share", "dataset_bleu", "novel_4grams", "novel_8grams", "ttr",
)  # fmt: skip
WAYS = ("greedy", "nucleus")
LENGTHS = (2, 4, 6, 8, 10, 12, 16, 24, 32)
"""Tokens of a run, of which the chart tells how many texts hold one."""
PAPERS = {
    "base, greedy": {"longest_overlap": 4.0},
    "hyperfitted, greedy": {"longest_overlap": PAPER_OVERLAP, "long_overlap_share": PAPER_LONG_SHARE},
}


def decodings(settings: StudySettings) -> tuple[str, ...]:
    """Greedy, sampled, and greedy with citations blocked."""
    return (*WAYS, f"greedy{BLOCKED}")


def tell(results: Results) -> Findings:
    """Whether few texts hold a long run of training data."""
    there = [LABEL] if results.labels else []
    conditions = [*((BASE, way) for way in WAYS), *((label, way) for label in there for way in decodings_of(results))]
    rows = [
        row
        for label, way in conditions
        for row in (row_of(results, label, way, f"{label}, {named(way)}"), *published(f"{label}, {way}"))
    ]
    rows.append(row_of(results, HUMAN, "greedy", HUMAN))
    table = Table("memorisation", "What stands in the training data", rows, MEASURES)
    shown = [
        *((f"{label}, {named(way)}", label, way) for label, way in conditions if way != "nucleus"),
        (HUMAN, HUMAN, "greedy"),
    ]
    lines = [
        Line(name, [(float(least), at_least(results, label, way, least)) for least in LENGTHS])
        for name, label, way in shown
    ]
    chart = Chart("memorisation-runs", "tokens of the longest run of training data, at least", "texts_with_run", lines)
    if not there:
        return Findings("Not shown", "No training came to its end.", [table], [chart])
    share = results.estimate(LABEL, "long_overlap_share")
    room = Estimate(MOST_COPYING - share.value, MOST_COPYING - share.high, MOST_COPYING - share.low, share.n)
    blocked = results.estimate(LABEL, "long_overlap_share", f"greedy{BLOCKED}")
    longest, before = (results.estimate(label, "longest_overlap") for label in (LABEL, BASE))
    return Findings(
        answer(room),
        f"The longest run of training data in a greedy text goes from {TENTHS.told(before.value)} to "
        f"{TENTHS.within(longest)} tokens (Carlsson et al. 4.0 to {PAPER_OVERLAP}; human text here "
        f"{TENTHS.told(results.estimate(HUMAN, 'longest_overlap').value)}), and {PERCENT.within(share)} of "
        f"texts hold one of more than {LONG_OVERLAP} tokens (theirs below {PERCENT.told(PAPER_LONG_SHARE)}); "
        f"with citations blocked {PERCENT.told(blocked.value)}, at a type-token ratio of "
        f"{RATIO.told(results.estimate(LABEL, 'ttr', f'greedy{BLOCKED}').value)} instead of "
        f"{RATIO.told(results.estimate(LABEL, 'ttr').value)}.",
        [table],
        [chart],
    )


def row_of(results: Results, label: str, way: str, name: str) -> Row:
    """A row of the table, with the longest run of all texts, which has no interval."""
    row, runs = results.row(label, MEASURES, way, name=name), results.values(label, "longest_overlap", way)
    most = float(np.nanmax(runs)) if np.isfinite(runs).any() else math.nan
    return Row(name, {**row.cells, "most_overlap": Estimate(most, math.nan, math.nan, runs.shape[1])})


def decodings_of(results: Results) -> tuple[str, ...]:
    """How the trained models of the results write."""
    return decodings(results.settings)


def at_least(results: Results, label: str, way: str, least: int) -> Estimate:
    """Share of texts whose longest run of training data has so many tokens or more."""
    runs = results.values(label, "longest_overlap", way)
    return pooled_share(np.where(np.isnan(runs), np.nan, runs >= least))


def published(name: str) -> list[Row]:
    """What the paper has for a row."""
    known = PAPERS.get(name)
    cells = {measure: Estimate(value, math.nan, math.nan, 0) for measure, value in (known or {}).items()}
    return [Row(name, cells, "Carlsson et al. 2025, table 2, all models")] if known else []


STUDY = Study(
    name="memorisation",
    trials=trials,
    tell=tell,
    decodings=decodings,
    method="The longest run of tokens of every text that stands in a training sequence, overlap of n-grams, and BLEU "
    "against the training data, also with citations blocked. Recitation: more than "
    f"{PERCENT.told(MOST_COPYING)} of texts with a run of more than {LONG_OVERLAP} tokens.",
)
