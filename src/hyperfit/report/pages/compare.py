"""One page of several runs, or kept epochs of one, beside each other."""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.values import read_values
from hyperfit.numbers import style_of
from hyperfit.report.pages.run import read_evaluation
from hyperfit.report.pages.templates import MARKS, TEMPLATES, plain
from hyperfit.report.pages.verdicts import training_verdict
from hyperfit.report.plots.training import curves_panel
from hyperfit.report.tables.evaluations.paired import paired_sheets, paired_words, unpaired
from hyperfit.report.tables.evaluations.runs import (
    Compared,
    by_epoch,
    differences,
    in_words,
    names_of,
    sheets,
    strips_beside,
)
from hyperfit.report.texts.repetition import LEAST
from hyperfit.report.texts.samples import Example, examples
from hyperfit.runs.directory import RunDir
from hyperfit.runs.files import writing

CURVES = {
    "train_loss": "training loss, nats per token",
    "val_loss": "validation loss, nats per token",
    "ttr": "type–token ratio of greedy text",
    "longest_overlap": "longest run of training data in greedy text, tokens",
}
"""What is measured between epochs, and what it is called."""


def write_comparison(runs: Sequence[RunDir], target: Path, texts: int = 3) -> Path:
    """Write one page that sets runs, or kept epochs (RUN/epochs/005), beside each other; its path.

    texts: contexts whose continuations stand open. Equal folders give equal bytes. Raises UserError with every run that
    cannot be compared, and what would do.
    """
    html = comparison(runs, texts)
    with writing(target) as aside:
        aside.write_text(html, encoding="utf-8")
    return target


def comparison(runs: Sequence[RunDir], texts: int) -> str:
    """The page's HTML."""
    known = checked(runs)
    return TEMPLATES.get_template("compare.html.j2").render(
        names=[run.name for run in known],
        findings={run.name: in_words(run) for run in known},
        unpaired=unpaired(known),
        paired=paired_words(known),
        paired_sheets=paired_sheets(known),
        strips=strips_beside(known),
        differences=[(name, list(map(plain, values))) for name, values in differences(known)],
        trainings={
            one.name: training_verdict(run.recipe, run.end, run.events("epoch"))
            for one, run in zip(known, runs, strict=True)
        },
        panels=panels(known),
        curves=[
            (
                heading,
                [(epoch, ["" if value is None else style_of(key)(value) for value in row]) for epoch, row in rows],
            )
            for key, heading in CURVES.items()
            if (rows := by_epoch(known, key))
        ],
        sheets=sheets(known),
        examples=beside([run.name for run in known], [examples(run.path) for run in runs]),
        texts=texts,
        marks=MARKS,
        least=LEAST,
    )


def checked(runs: Sequence[RunDir]) -> list[Compared]:
    """What is compared. Raises UserError with every problem."""
    problems: list[str] = []
    folders = [run.path.resolve() for run in runs]
    problems += [
        f"{path}: is named twice; name each run once" for path in dict.fromkeys(folders) if folders.count(path) > 1
    ]
    names = names_of([run.path for run in runs])
    known = []
    for name, run in zip(names, runs, strict=True):
        with collecting(problems):
            evaluation = read_evaluation(run.path)
            recipe = run.recipe.to_dict() | {"alpha": run.recipe.lora_alpha}
            if run.environment.get("picture"):
                problems.append(f"{run.path}: completes pictures, which have pages of their own; give it alone")
            elif not evaluation:
                problems.append(
                    f"{run.path}: is not evaluated, so there is nothing to compare; first hyperfit evaluate {run.path}"
                )
            values = read_values(run.path, evaluation)
            known.append(Compared(name, recipe, run.environment, evaluation, run.events("epoch"), values))
    if problems:
        raise UserError(*problems)
    return known


def panels(runs: Sequence[Compared]) -> list[tuple[str, Markup]]:
    """(title, picture with its values) of everything that was measured between epochs, the curves of all runs in it."""
    drawn = [(title, curves_panel({run.name: run.epochs for run in runs}, key, title)) for key, title in CURVES.items()]
    return [(title, Markup(picture)) for title, picture in drawn if picture]


def beside(names: Sequence[str], written: Sequence[Sequence[Example]]) -> list[Example]:
    """The contexts that all runs have continued, with what was written after them; what is the same in all, once."""
    by_context = [{one.context: one for one in each} for each in written]
    found = []
    for context, first in by_context[0].items():
        if not all(context in each for each in by_context):
            continue
        ones = [each[context].continuations for each in by_context]
        texts: dict[str, list[tuple[str, int | None]]] = {}
        for heading in dict.fromkeys(heading for one in ones for heading in one):
            there = {name: one[heading] for name, one in zip(names, ones, strict=True) if heading in one}
            alike = len(there) == len(names) and all(pieces == there[names[0]] for pieces in there.values())
            if alike and not heading.startswith("Hyperfitted"):
                texts[heading] = there[names[0]]
            else:
                texts |= {f"{heading}: {name}": pieces for name, pieces in there.items()}
        found.append(Example(context, first.source, texts))
    return found
