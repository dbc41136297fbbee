"""Both models on the tasks of lm-eval, as a table: scores, the parts of groups, and losses."""

from collections.abc import Iterator, Mapping
from typing import Any

from hyperfit.report.tables.measures import LOSSES, TASKS, Measure
from hyperfit.report.tables.table import Row, Sheet, cell

Results = Mapping[str, Any]
UNIT = "examples"
PARTS = "task-parts"
"""The table of the tasks of which groups consist: long, of some."""
COLUMNS = ("base", "hyperfitted", "difference", "chance")
"""Of a task in evaluation.json, in the order of the tables' columns; a loss has no chance."""


def task_tables(evaluation: Results) -> list[Sheet]:
    """Scores, those of the parts of groups, and losses, as far as the evaluation has any; none of earlier ones."""
    return tables_of(list(evaluation.get("tasks", {}).items()))


def tasks_beside(evaluations: Mapping[str, Results]) -> list[Sheet]:
    """The same of several runs, each by its name, with a row a run and task."""
    rows = [
        (f"{name}: {task}", found) for name, one in evaluations.items() for task, found in one.get("tasks", {}).items()
    ]
    return tables_of(rows)


def tables_of(tasks: list[tuple[str, Results]]) -> list[Sheet]:
    """Tables of (name, what evaluation.json has of it)."""
    scored = [row(name, found, TASKS) for name, found in tasks if not found["loss"]]
    parts = [row(f"{name}: {part}", found, TASKS) for name, part, found in parts_of(tasks)]
    lossy = [row(name, found, LOSSES) for name, found in tasks if found["loss"]]
    sheets = (
        Sheet("tasks", "Scores on tasks", scored, TASKS, UNIT),
        Sheet(PARTS, "Scores on the parts of tasks", parts, TASKS, UNIT),
        Sheet("task-losses", "Losses on tasks; less is better", lossy, LOSSES, UNIT),
    )
    return [one for one in sheets if one.rows]


def parts_of(tasks: list[tuple[str, Results]]) -> Iterator[tuple[str, str, Results]]:
    """(group, task of it, what evaluation.json has of that)"""
    for name, found in tasks:
        for part, one in found.get("parts", {}).items():
            yield name, part, one


def row(name: str, found: Results, measures: tuple[Measure, ...]) -> Row:
    """A task with what it measures, of both models."""
    cells = [
        cell({measure.key: found[column]}, measure, "+" if column == "difference" else "-")
        for measure, column in zip(measures, COLUMNS, strict=False)
    ]
    return Row(f"{name}, {found['measure']}", cells)
