"""One self-contained page of all studies that lie in a folder: answers first, then each study."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from markupsafe import Markup

from hyperfit.errors import UserError
from hyperfit.image.completion.written import drawn, picture_of
from hyperfit.report.harmless import harmless
from hyperfit.report.look import IN_PAGE
from hyperfit.report.pages.mechanism import shortened
from hyperfit.report.pages.overview import curves, first_sentence, small_figure
from hyperfit.report.pages.templates import MARKS, TEMPLATES, isolated, plain
from hyperfit.report.plots.panels import panels, style
from hyperfit.report.plots.scatter import draw
from hyperfit.report.plots.values import shown, titled
from hyperfit.report.tables.exports import write_tables
from hyperfit.report.tables.studies import measure_of, study_tables
from hyperfit.runs.files import writing
from hyperfit.studies.catalogue import STUDIES
from hyperfit.studies.study import Answer

Found = dict[str, Any]


PARTS = {"study", "question", "source", "method", "settings", "trainings", "answer", "sentence", "tables", "charts"}
"""What every NAME.json holds."""


def write_studies_page(folder: Path) -> Path:
    """Write FOLDER/studies.html and FOLDER/tables/ from the NAME.json files in the folder; the page's path.

    Equal results give equal bytes. Raises UserError if one of the files is damaged, or if there is none.
    """
    found = read_studies(folder)
    for one in found:
        write_tables(folder / "tables", study_tables(one))
    target = folder / "studies.html"
    with writing(target) as aside:
        aside.write_text(page(found), encoding="utf-8")
    return target


def read_studies(folder: Path) -> list[Found]:
    """What the studies of a folder found, in the order of the catalogue."""
    files = [file for name in STUDIES if (file := folder / f"{name}.json").is_file()]
    if not files:
        raise UserError(f"{folder}: no study lies here; run one with hyperfit study")
    return [read_study(file) for file in files]


def read_study(file: Path) -> Found:
    """What one study found. Raises UserError if the file is damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(found, dict) or not found.keys() >= PARTS:
            raise ValueError("a part is missing")
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{file}: cannot be read ({error}); remove it, and run the study again") from error
    return found


def page(found: list[Found]) -> str:
    """The page's HTML."""
    return TEMPLATES.get_template("studies.html.j2").render(
        answers=counted_answers([one["answer"] for one in found]),
        model=harmless(shortened(found[0]["settings"]["model"])),
        data=harmless(shortened(found[0]["settings"]["data"])),
        studies=[
            {
                **one,
                "sentence": harmless(one["sentence"]),
                "first_sentence": harmless(first_sentence(one["sentence"])),
                "small": small_figure(one),
                "figures": [*planes(one), *figures(one)],
                "sheets": study_tables(one),
                "trainings": counted(len({training["run"] for training in one["trainings"]}), "training"),
                "seeds": counted(len({training["seed"] for training in one["trainings"]}), "seed"),
                "left_out": left_out(one),
                "devices": sorted({str(training["device"]) for training in one["trainings"]}),
            }
            for one in found
        ],
        isolated=lambda value: isolated(plain(value)),
        written=written,
        marks=MARKS,
    )


def written(text: str, name: str) -> Markup:
    """What was written, or the picture that it stands for; name: of who made it."""
    picture = picture_of(text)
    if picture is None:
        return isolated(text)
    return Markup('<img src="{}" alt="A picture: {}">').format(drawn(picture), name)


def counted_answers(answers: Sequence[str]) -> str:
    """How many questions there are, and how they were answered."""
    told = ", ".join(f"{count} {answer}" for answer in get_args(Answer) if (count := answers.count(answer)))
    return f"{counted(len(answers), 'question')}: {told}."


def left_out(found: Found) -> list[str]:
    """Which trainings are no part of a study's numbers, and why."""
    lacking = [f"{label} ({counted(count, 'seed')})" for label, count in found.get("lacking", {}).items()]
    diverged = [f"{one['label']} (seed {one['seed']})" for one in found["trainings"] if one.get("reason") == "nan"]
    said = {"Not trained, for lack of time or of text": lacking, "Left out, as training diverged": diverged}
    return [f"{why}: {harmless(', '.join(which))}." for why, which in said.items() if which]


def counted(count: int, thing: str) -> str:
    """1 seed, 3 seeds."""
    return f"{count} {thing}{'' if count == 1 else 's'}"


def figures(found: Found) -> list[dict[str, Any]]:
    """The charts of a study, each with its values."""
    drawn = []
    for chart in found["charts"]:
        about = f"{measure_of(chart['measure']).heading} by {chart['x']}"
        with style(IN_PAGE):
            (panel,) = panels(1, 1, IN_PAGE)
            curves(panel, chart)
            svg = shown(panel, chart["name"], f"{about}, {found['study']}")
        drawn.append({"title": about, "shown": svg})
    return drawn


def planes(found: Found) -> list[dict[str, Any]]:
    """The scatters of a study, each mark with a title, and with its values."""
    drawn = []
    for scatter in found.get("scatters", ()):
        gain = measure_of(scatter["y"]).heading
        about = f"{gain} against {scatter['told']}"
        with style(IN_PAGE):
            (panel,) = panels(1, 1, IN_PAGE)
            panel.describe(gain, scatter["told"])
            titles = draw(panel, scatter)
            svg = shown(panel, scatter["name"], f"{about}, {found['study']}")
        drawn.append({"title": about, "shown": titled(svg, scatter["name"], titles)})
    return drawn
