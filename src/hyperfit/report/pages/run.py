"""One self-contained HTML page of a run: no server, no network, no script."""

import json
import shlex
from pathlib import Path
from typing import Any

from markupsafe import Markup

from hyperfit.errors import UserError
from hyperfit.metrics.copying.memorisation import LEAST_COPIED
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.report.pages.completions import read_completions
from hyperfit.report.pages.templates import MARKS, TEMPLATES
from hyperfit.report.pages.verdicts import (
    facts,
    in_a_line,
    model_name,
    probes_verdict,
    training_verdict,
    writing_verdict,
)
from hyperfit.report.plots.training import loss_panel, overlap_panel, position_panel, ttr_panel
from hyperfit.report.tables.evaluations.papers import all_tables, more_tables, paper_tables
from hyperfit.report.tables.evaluations.strip import strips
from hyperfit.report.tables.evaluations.summary import decoding_of, summary
from hyperfit.report.tables.evaluations.tasks import task_tables
from hyperfit.report.tables.exports import write_tables
from hyperfit.report.texts.repetition import LEAST
from hyperfit.report.texts.samples import Example, beginning, copied, examples, heading
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import writing

EXCERPT = 430
"""Characters of a continuation that the first screen shows."""


def write_report(run: RunDir, texts: int = 3, output: Path | None = None) -> Path:
    """Write RUN/report.html, and RUN/tables/ if the run is evaluated, from what lies in its folder; the page's path.

    texts: contexts whose continuations stand open; all others are there to be opened. output: the folder that holds the
    evaluation, and gets page and tables. None: the run's. A run that is not yet evaluated, or still in training, gives
    a shorter page. Equal folders give equal bytes. Raises UserError if a file of the run is damaged.
    """
    folder = output or run.path
    target = write_page(run, folder / "report.html", texts, folder)
    if evaluation := read_evaluation(folder):
        write_tables(folder / "tables", all_tables(evaluation))
    return target


def write_page(run: RunDir, target: Path, texts: int, folder: Path | None = None) -> Path:
    """Write a run's page, and nothing else, to a file. folder: holds the evaluation. None: the run's."""
    html = page(run, texts, folder or run.path)
    with writing(target) as aside:
        aside.write_text(html, encoding="utf-8")
    return target


def page(run: RunDir, texts: int, folder: Path) -> str:
    """The page's HTML. All text that comes from the run is escaped, isolated, and without control characters.

    It holds all texts of the evaluation, repeated spans marked: a quarter more bytes than RUN/samples/, 1.2 MB for 72
    contexts under 11 conditions of 1,000 characters.
    """
    recipe, evaluation, epochs = run.recipe, read_evaluation(folder), run.events("epoch")
    written, pictures = examples(folder), bool(run.environment.get("picture"))
    completed = read_completions(folder) if pictures else None
    verb = "complete" if pictures else "evaluate"
    return TEMPLATES.get_template("run.html.j2").render(
        model=model_name(recipe),
        line=in_a_line(recipe, run.environment),
        facts=facts(recipe, run.environment),
        finding=summary(evaluation) or probes_verdict(epochs, "completions" if pictures else "text"),
        strips=strips(evaluation),
        opening=opening(written, decoding_of(evaluation) or "greedy"),
        training=training_verdict(recipe, run.end, epochs),
        writing=writing_verdict(evaluation),
        evaluate=None if evaluation or completed else f"hyperfit {verb} {shlex.quote(str(run.path))}",
        pictures=pictures,
        grid=completed and completed.grid,
        grid_columns=completed and ", ".join(completed.conditions),
        loss_panel=Markup(loss_panel(epochs, recipe.stop_loss)),
        ttr_panel=Markup(ttr_panel(epochs, pictures=pictures)),
        overlap_panel=Markup(overlap_panel(epochs)),
        sheets=completed.sheets if completed else paper_tables(evaluation),
        more_sheets=more_tables(evaluation),
        task_sheets=task_tables(evaluation),
        task_limit=evaluation.get("settings", {}).get("task_limit"),
        position_panel=Markup(position_panel(evaluation.get("conditions", {}))),
        copied=copied(evaluation),
        least_copied=LEAST_COPIED,
        examples=written,
        texts=texts,
        mechanism=(folder / "mechanism.html").is_file(),
        marks=MARKS,
        least=LEAST,
        probe_texts=recipe.probe_texts,
        ttr_window=TTR_WINDOW,
        settings={
            "Recipe": recipe.to_dict() | {"alpha": recipe.lora_alpha},
            "Evaluation": evaluation.get("settings", {}),
            "Environment": run.environment,
        },
    )


def opening(written: list[Example], decoding: str) -> Example | None:
    """The first context, with the beginnings of what both models wrote by this decoding; None if they wrote nothing."""
    names = [heading(f"{model}/{decoding}") for model in ("base", "hyperfitted")]
    if not written or not all(name in written[0].continuations for name in names):
        return None
    pair = {name: beginning(written[0].continuations[name], EXCERPT) for name in names}
    return Example(written[0].context, written[0].source, pair)


def read_evaluation(folder: Path) -> dict[str, Any]:
    """What evaluation.json holds; empty if the run is not evaluated. Raises UserError if it is damaged."""
    file = folder / "evaluation.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not isinstance(found.get("conditions"), dict):
            raise ValueError("it holds no conditions")
        if not isinstance(found.get("tasks", {}), dict):
            raise ValueError("its tasks have no names")
    except (ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); repeat hyperfit evaluate") from error
    return found
