"""hyperfit study."""

import json
import re
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.help import columns, filled
from hyperfit.commands.interface.output import Json
from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError, collecting
from hyperfit.evaluation.tasks.also import also_of_tasks
from hyperfit.studies.catalogue import STUDIES, unknown
from hyperfit.studies.settings import StudySettings

NAME = 14
"""Letters of the column of names."""
UNITS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class StudyCommand(StudySettings):
    """Tables and figures of the papers for your model: train what they need, measure, and say whether they hold.

    What is trained and measured stays in the output folder and is used again, by other studies, seeds and days; a
    study that was interrupted goes on.

    Example: hyperfit study quantity early-stop --model builtin:tiny --seeds 3 --budget 90m
    """

    names: Annotated[Positional[tuple[str, ...]], arg(name="study", metavar="[STUDY ...]")] = ()
    """Studies to run; all: every one of them. --list names them."""
    list: bool = False
    """Name the studies, what each asks, and where it comes from."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of trainings and results. None: studies/MODEL."""
    budget: str | None = None
    """Begin no training that is expected to end later, most informative first, and say what is left: 90m, 2h, 600s.
    What is measured of each and of the base model is counted; what a scorer says and tasks of lm-eval come on top."""
    dry_run: bool = False
    """Say what would be trained, and about what it takes; train nothing."""
    workers: int | None = None
    """Processes that train side by side, each with its share of the cores, or a GPU of its own where there are
    several. None: one for every GPU, or one."""
    json: Json = False
    """Print results as JSON."""

    groups: ClassVar = {
        "what is studied": (
            *("model", "data", "text_column", "image_column", "skip_unusable"),
            *("samples", "length", "stop_loss", "epochs", "seeds"),
        ),
        "contexts": ("contexts", "most_contexts", "context", "total"),
        "how texts are judged": ("scorer",),
        "tasks": ("tasks", "task_limit"),
        "how much is done": ("list", "dry_run", "budget"),
        "machine": ("device", "precision", "workers"),
        "what is written": ("output", "json"),
    }

    def __post_init__(self) -> None:
        """Raises UserError with every problem: studies that there are not, and values that cannot be.

        Where there are some, those of the tasks' names are told, too.
        """
        problems = unknown(self.names)
        for check in (super().__post_init__, partial(seconds, self.budget)):
            with collecting(problems):
                check()
        if self.workers is not None and self.workers < 1:
            problems.append(f"--workers {self.workers}: give a whole number of 1 or more")
        if problems:
            with also_of_tasks(() if self.tasks == StudySettings().tasks else self.tasks):
                raise UserError(*problems)

    def run(self) -> None:
        """Run the studies and print an answer each."""
        if self.list or not self.names:
            for name, one in STUDIES.items():
                print(beside(name, f"{one.question}\n({one.source})"))
            return
        from hyperfit.report.pages.studies import write_studies_page
        from hyperfit.studies.run import run_studies
        from hyperfit.training.interrupts import terminable

        settings = StudySettings(**{field.name: getattr(self, field.name) for field in fields(StudySettings)})
        folder = self.output or Path("studies") / self.model.rstrip("/").split("/")[-1].removeprefix(PREFIX)
        with terminable():
            found = run_studies(
                self.names, settings, folder, budget=seconds(self.budget), dry_run=self.dry_run, workers=self.workers
            )
        page = write_studies_page(folder) if found else None
        if self.json:
            print(json.dumps(found, ensure_ascii=False))
            return
        for one in found.values():
            print(beside(one["study"], f"{one['question']}\n{one['answer']}. {one['sentence']}"))
        if page:
            print(f"Page: {page}; tables as CSV and LaTeX: {folder / 'tables'}")


def beside(name: str, told: str) -> str:
    """A study's name, and what is told of it beside it, wrapped as help texts are."""
    lines = [line for part in told.splitlines() for line in filled(part, columns(), " " * NAME)]
    return "\n".join([f"{name:{NAME}}{lines[0].lstrip()}", *lines[1:]])


def seconds(budget: str | None) -> float | None:
    """A time as people type it. Raises UserError for what is none."""
    if budget is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh])", budget.strip())
    if not match or float(match[1]) == 0:
        raise UserError(f"--budget {budget}: give a time such as 90m, 2h or 600s")
    return float(match[1]) * UNITS[match[2]]
