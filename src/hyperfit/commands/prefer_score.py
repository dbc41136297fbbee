"""hyperfit prefer score."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.errors import UserError

if TYPE_CHECKING:
    from hyperfit.prefer.statistics.score import Scores


@dataclass(frozen=True, kw_only=True)
class PreferScore:
    """Score judgements: which condition people prefer, how sure that is, and how far they agree.

    Reads what hyperfit prefer export and hyperfit judge write, and spreadsheets (.csv, .tsv, .xlsx) with a row a pair:
    context, A and B (the conditions), and a column for each annotator's answers. Models that judged are scored apart,
    beside how far they agree with people.
    """

    files: Annotated[Positional[tuple[Path, ...]], arg(metavar="FILE [FILE ...]")]
    """Files of judgements, or folders of such files."""
    without: tuple[str, ...] = ()
    """Annotators whose judgements do not count, such as those who failed the gold items."""
    run_folder: Annotated[Path | None, arg(name="run", metavar="RUN")] = None
    """The run whose texts were judged: the scores of its conditions against human text go into its evaluation.json, and
    into Table 1 of its report."""
    json: Json = False
    """Print the scores as JSON instead of tables."""

    def run(self) -> None:
        """Score, print, and join the run."""
        from hyperfit.web.installed import SCORING, check_installed

        check_installed("hyperfit prefer score", SCORING)
        from hyperfit.prefer.reading.files import read_judgements
        from hyperfit.prefer.statistics.between import agreement_with_people
        from hyperfit.prefer.statistics.score import score

        if not self.files:
            raise UserError("FILE is missing; give what hyperfit prefer export or hyperfit judge wrote")
        read = read_judgements(self.files).without(self.without)
        people = score(read.people) if read.people else None
        models = {name: score(rows) for name, rows in read.models.items()}
        likelihoods = {name: score(rows) for name, rows in read.likelihoods.items()}
        agreement = {
            name: agreement_with_people(rows, read.people) for name, rows in (read.models | read.likelihoods).items()
        }
        if self.run_folder is not None:
            join(self.run_folder, people, models)
        if self.json:
            plain = {name: one.to_dict() for name, one in (models | likelihoods).items()}
            found = {name: {**one, "agreement_with_people": agreement[name].to_dict()} for name, one in plain.items()}
            people_found = None if people is None else people.to_dict()
            print(json.dumps({"people": people_found, "models": found}, ensure_ascii=False))
            return
        if people is not None:
            show(people, "People", [])
        for name, one in (models | likelihoods).items():
            what = f"Log-likelihood under {name}" if name in likelihoods else f"Judged by {name}"
            show(one, what, agreement[name].sentences())


def join(folder: Path, people: "Scores | None", models: "dict[str, Scores]") -> None:
    """The scores into the run's evaluation and report."""
    from hyperfit.console import say
    from hyperfit.prefer.joined import join_scores
    from hyperfit.report.pages.run import write_report
    from hyperfit.runs.directory import RunDir

    joined = join_scores(folder, people, models)
    say(f"{folder / 'evaluation.json'}: preference of {', '.join(joined)}")
    if (folder / "recipe.json").is_file():
        write_report(RunDir.open(folder))


def show(scores: "Scores", title: str, more: list[str]) -> None:
    """One study's scores as sentences and tables."""
    from rich.text import Text

    from hyperfit.prefer.tables import sentences, sheets
    from hyperfit.report.tables.table import TerminalSheets

    console = terminal()
    with console.capture() as page:
        console.print(Text(title, "bold"))
        for sentence in [*sentences(scores), *more]:
            console.print(Text(sentence), highlight=False)
        console.print()
        console.print(TerminalSheets(sheets(scores)))
    print(page.get(), end="")
