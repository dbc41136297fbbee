"""hyperfit report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from hyperfit.errors import UserError

COMPARISON = Path("comparison.html")


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page from what lies in a run's folder; or of several runs, to compare them.

    Kept epochs (--keep-every) are runs, too: hyperfit report RUN RUN/epochs/005. What is compared has to be evaluated.
    """

    run_folders: Annotated[Positional[tuple[Path, ...]], arg(name="run", metavar="RUN [RUN ...]")]
    """Runs made by hyperfit train. Of one, its report; of several, one page that sets them beside each other."""
    texts: int = 3
    """Contexts whose continuations stand open; the others are there to be opened."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """Where the page goes. None: RUN/report.html, with RUN/tables/ beside it; of several runs, comparison.html in this
    folder."""

    def run(self) -> None:
        """Write the page and print its path."""
        from hyperfit.report.pages.compare import write_comparison
        from hyperfit.report.pages.run import write_page, write_report
        from hyperfit.runs.directory import RunDir

        if not self.run_folders:
            raise UserError("RUN is missing; give the folder of a run, or several to compare them")
        if self.output is not None and self.output.is_dir():
            raise UserError(f"--output {self.output}: is a folder; name a file for the page, such as report.html in it")
        first, *others = runs = [RunDir.open(folder) for folder in self.run_folders]
        if others:
            print(write_comparison(runs, self.output or COMPARISON, self.texts))
        elif self.output is not None:
            print(write_page(first, self.output, self.texts))
        else:
            print(write_report(first, self.texts))
