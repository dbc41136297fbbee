"""The papers' tables from an evaluation, their own numbers beside ours, and more tables for the page."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.report.tables.evaluations.published import PUBLISHED, Published
from hyperfit.report.tables.evaluations.tasks import PARTS, task_tables
from hyperfit.report.tables.measures import (
    AGREEMENT,
    ALIKE,
    DIVERSITY,
    LEXICAL,
    LIKENESS,
    LOOPS,
    MEMORISATION,
    PERPLEXITY,
    PREFERENCE,
    SHARPNESS,
    TTR,
    WORDS,
    Measure,
)
from hyperfit.report.tables.table import Cell, Row, Sheet, cell

BY_KEY = {one.key: one for one in (*DIVERSITY, *LOOPS, *LIKENESS, *MEMORISATION)}
TABLE_1 = (
    PREFERENCE,
    TTR,
    WORDS,
    PERPLEXITY,
    *(BY_KEY[key] for key in ("bigram_repetition", "trigram_repetition", "loop_share", "self_bleu")),
)
TABLE_2 = tuple(BY_KEY[key] for key in ("dataset_bleu", "longest_overlap", "most_overlap", "long_overlap_share"))
COMPARED = "hyperfitted/greedy - base/greedy"
"""The comparison of evaluation.json that stands below tables 1 and 2."""

Results = Mapping[str, Any]


def paper_tables(evaluation: Results) -> list[Sheet]:
    """Tables 1, 2 and 3 of Carlsson et al. (2025), as far as the evaluation goes: preference only if people judged.

    evaluation: what hyperfit.evaluate returns and evaluation.json holds. A measure that it does not have
    has no column, and a table without a column is left out; what is undefined prints as "–". Below a row
    stands what the papers found for it, unless another tokenizer than the model's own has counted (``counted_by``).
    """
    models = evaluation.get("models", {})
    conditions = with_perplexity(evaluation.get("conditions", {}), models)
    beside = evaluation if counted_by(evaluation) is None else None
    return present(
        [
            sheet("table1", title_1(conditions), conditions, TABLE_1, beside),
            sheet("table2", "Table 2. Memorisation of the training data", conditions, TABLE_2, beside),
            sheet("table3", "Table 3. Sharpness on human text", models, SHARPNESS, {}),
        ]
    )


def title_1(conditions: Results) -> str:
    """What the first table is called: as it holds preference or not."""
    judged = any(PREFERENCE.key in measures for measures in conditions.values())
    return f"Table 1. {'Preference, diversity' if judged else 'Diversity'} and perplexity"


def counted_by(evaluation: Results) -> str | None:
    """The tokenizer that counted texts from elsewhere; None for a run, whose texts its own has counted.

    The papers count tokens of the model that wrote: beside another's, their figures would be of something else.
    """
    name = evaluation.get("settings", {}).get("tokenizer")
    return None if name is None else str(name)


def terminal_tables(evaluation: Results) -> list[Sheet]:
    """The papers' tables and, if they were measured, likeness and coherence, and tasks without the parts of groups."""
    more = (one for one in more_tables(evaluation) if one.name == "likeness")
    return [*paper_tables(evaluation), *more, *(one for one in task_tables(evaluation) if one.name != PARTS)]


def blocking_lines(evaluation: Results) -> list[str]:
    """How often the blocking of citations acted, a line a condition."""
    lines = []
    for name, measures in evaluation.get("conditions", {}).items():
        blocked, changed = measures.get("blocked_steps"), measures.get("changed_choices")
        if blocked and changed and changed["value"] is not None:
            share, choices = PERCENT.told(blocked["value"]), PERCENT.told(changed["value"])
            lines.append(
                f"{name}: a token was forbidden at {share} of {COUNT(blocked['n'])} steps; the choice changed at "
                f"{choices}"
            )
    return lines


def all_tables(evaluation: Results) -> list[Sheet]:
    """The papers' tables, the others, and those of tasks."""
    return [*paper_tables(evaluation), *more_tables(evaluation), *task_tables(evaluation)]


def more_tables(evaluation: Results) -> list[Sheet]:
    """What the papers' tables do not hold, in groups."""
    conditions, models = evaluation.get("conditions", {}), evaluation.get("models", {})
    contexts = {name: measures["contexts"] for name, measures in models.items() if "contexts" in measures}
    own = {f"{name}/{way}": row for name, measures in models.items() for way, row in measures.get("own", {}).items()}
    alike = {"base, hyperfitted": evaluation["agreement"]} if evaluation.get("agreement") else {}
    seen = {measure.key for measure in (*TABLE_1, *TABLE_2)}

    def others(measures: tuple[Measure, ...]) -> tuple[Measure, ...]:
        return tuple(measure for measure in measures if measure.key not in seen)

    return present(
        [
            sheet("diversity", "Diversity", conditions, others(DIVERSITY)),
            sheet("lexical", "Lexical diversity", conditions, LEXICAL),
            sheet("loops", "Loops", conditions, LOOPS),
            sheet("memorisation", "Memorisation", conditions, others(MEMORISATION)),
            sheet("likeness", "Likeness to human text and coherence", conditions, LIKENESS),
            sheet("own", "Sharpness of each model on what it wrote", own, SHARPNESS),
            sheet("contexts", "Sharpness on the human contexts", contexts, SHARPNESS),
            sheet("calibration", "Calibration, and agreement with the base model, on human text", models, AGREEMENT),
            sheet("agreement", "How alike the models predict human text", alike, ALIKE),
        ]
    )


def present(sheets: Iterable[Sheet]) -> list[Sheet]:
    """The sheets that have a row and a column."""
    return [one for one in sheets if one.rows and one.measures]


def with_perplexity(conditions: Results, models: Results) -> dict[str, dict[str, Any]]:
    """Conditions, the human one last, each with the perplexity of the model that wrote it."""
    order = sorted(conditions, key=lambda name: name == "human")  # stable: the others as they were evaluated
    perplexities = {model: measures["perplexity"] for model, measures in models.items() if "perplexity" in measures}
    return {
        name: {**conditions[name], **({"perplexity": perplexities[model]} if model in perplexities else {})}
        for name, model in ((name, name.partition("/")[0]) for name in order)
    }


def sheet(
    name: str,
    title: str,
    conditions: Results,
    measures: tuple[Measure, ...],
    evaluation: Results | None = None,
) -> Sheet:
    """A row a condition, a column a measure that any of them has.

    evaluation: given for the papers' tables, to which it adds the papers' own rows, and the difference
    of both greedy conditions if it holds one.
    """
    order = sorted(conditions, key=lambda one: one == "human")
    measures = tuple(measure for measure in measures if any(measure.key in conditions[one] for one in order))
    known = PUBLISHED.get(name, ()) if evaluation is not None else ()
    rows: list[Row] = []
    for one in order:
        rows.append(Row(one, [cell(conditions[one], measure) for measure in measures]))
        rows += published_rows(known, one, measures)
    difference = (evaluation or {}).get("comparisons", {}).get(COMPARED)
    if difference and any(measure.key in difference for measure in measures):
        shown = COMPARED.replace(" - ", " − ")
        rows.append(Row(shown, [cell(difference, measure, "+") for measure in measures]))
        rows += published_rows(known, shown, measures, "+")
    return Sheet(name, title, rows, measures)


def published_rows(known: Iterable[Published], name: str, measures: tuple[Measure, ...], sign: str = "-") -> list[Row]:
    """What the papers have for a row; one row a source. sign: "+" where it holds differences."""
    return [
        Row(name, [published_cell(one, measure, sign) for measure in measures], one.source)
        for one in known
        if one.row == name and any(measure.key in one.cells for measure in measures)
    ]


def published_cell(known: Published, measure: Measure, sign: str = "-") -> Cell:
    """A published number, or a range of them; empty if the paper has none."""
    if measure.key not in known.cells:
        return Cell("")
    low, high = known.cells[measure.key]
    if low == high:
        return Cell(measure.show(low, sign), known=Estimate(low, math.nan, math.nan, 0))
    words = f"< {measure.show(high)}" if low == 0 else f"{measure.show(low)}–{measure.show(high)}"
    return Cell(words, known=Estimate(math.nan, low, high, 0))
