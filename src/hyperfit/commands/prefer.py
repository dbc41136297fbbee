"""hyperfit prefer serve, hyperfit prefer invite, hyperfit prefer export."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json
from hyperfit.errors import UserError
from hyperfit.prefer.settings import StudySettings

STUDY = Path("prefer")
ADDRESS = "http://127.0.0.1:8765"
"""Of the server, where none is known."""
StudyFolder = Annotated[Path, arg(aliases=["-o"])]


@dataclass(frozen=True, kw_only=True)
class PreferServe(StudySettings):
    """Ask people which of two texts, or pictures, is better: a page for annotators, and one for the study's owner.

    Makes a study of the samples of evaluated runs, or goes on with the one that is there. Annotators take part with
    links that hyperfit prefer invite prints; the owner sees progress, agreement and speed, and exports.
    """

    run_folders: Annotated[Positional[tuple[Path, ...]], arg(name="run", metavar="[RUN ...]")] = ()
    """Runs that hyperfit evaluate has measured, or, on pictures, hyperfit complete. None: go on with the study."""
    study: StudyFolder = STUDY
    """Its folder."""
    database: Annotated[str | None, arg(metavar="URL")] = None
    """Where the study is stored, such as postgresql://USER@HOST/NAME. None: prefer.sqlite in its folder."""
    host: str = "127.0.0.1"
    """Address of this machine to serve at. Others than this machine reach it only by another, such as 0.0.0.0; then
    --password-file is needed."""
    port: int = 8765
    """Port to serve at; 0: any that is free."""
    url: Annotated[str | None, arg(metavar="URL")] = None
    """Where annotators reach the server, if another stands before it."""
    password_file: Annotated[Path | None, arg(metavar="FILE")] = None
    """A file with the owner's password. None: a link with a key, new at each start, is printed."""

    groups: ClassVar = {
        "texts": ("design", "texts", "conditions", "contexts", "seed"),
        "annotators": ("annotators", "per_annotator", "gold", "repeats", "questions"),
        "storage": ("study", "database"),
        "server": ("host", "port", "url", "password_file"),
    }
    positional_unless: ClassVar = ("--texts",)

    def run(self) -> None:
        """Serve until stopped."""
        check_packages("hyperfit prefer serve")
        from hyperfit.prefer.serve import Place, serve_study

        settings = StudySettings(**{field.name: getattr(self, field.name) for field in fields(StudySettings)})
        place = Place(**{field.name: getattr(self, field.name) for field in fields(Place)})
        serve_study(self.run_folders, settings, place, lambda line: print(line, flush=True))


@dataclass(frozen=True, kw_only=True)
class PreferInvite:
    """Print links, one for each new annotator of a study; whoever has a link answers as that annotator."""

    count: Annotated[Positional[int], arg(name="n", metavar="N")]
    """How many."""
    study: StudyFolder = STUDY
    """The study's folder."""
    database: Annotated[str | None, arg(metavar="URL")] = None
    """Where it is stored, if not there."""
    url: Annotated[str | None, arg(metavar="URL")] = None
    """Where annotators reach the server. None: where the study was last served."""
    json: Json = False
    """Print one JSON object a line."""

    def run(self) -> None:
        """Print the links."""
        check_packages("hyperfit prefer invite")
        from hyperfit.prefer.store.study import invite, open_study
        from hyperfit.web.serving import check_url

        given = None if self.url is None else check_url(self.url, "--url")
        study = open_study(self.study, self.database)
        url = given or study.url or ADDRESS
        for one in invite(study, self.count):
            link = f"{url}/a/{one.token}"
            print(json.dumps({"annotator": one.id, "link": link}) if self.json else link)


@dataclass(frozen=True, kw_only=True)
class PreferExport:
    """Write all answers of a study, as a file of this project or one that other annotation tools import."""

    format: Literal["jsonl", "csv", "argilla", "label-studio"] = "jsonl"
    """jsonl: everything, one answer a line; csv: one answer a row, without the texts; argilla and label-studio: the
    pairs with what was said of them, as these import them."""
    output: Annotated[Path | None, arg(metavar="FILE")] = None
    """The file to write. None: print."""
    study: StudyFolder = STUDY
    """The study's folder."""
    database: Annotated[str | None, arg(metavar="URL")] = None
    """Where it is stored, if not there."""

    def run(self) -> None:
        """Write or print."""
        check_packages("hyperfit prefer export")
        from hyperfit.prefer.export.formats import exported
        from hyperfit.prefer.store.study import open_study
        from hyperfit.runs.files import writing

        text = exported(open_study(self.study, self.database), self.format)
        if self.output is None:
            print(text, end="")
            return
        if self.output.is_dir():
            raise UserError(f"--output {self.output}: is a folder; name a file")
        with writing(self.output) as aside:
            aside.write_text(text, encoding="utf-8")
        print(self.output)


def check_packages(what: str) -> None:
    """Raises UserError where a package of the extra prefer is missing."""
    from hyperfit.web.installed import check_installed

    check_installed(what)


class Prefer:
    """Ask people which of two texts reads better: serve a study, invite annotators, export what they say."""
