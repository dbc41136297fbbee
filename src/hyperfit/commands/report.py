"""hyperfit report."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write one self-contained HTML page from what lies in a run's folder."""

    run_folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """A run made by hyperfit train."""
    texts: int = 3
    """Contexts whose continuations are shown."""

    def run(self) -> None:
        """Write the page and print its path."""
        from hyperfit.report.pages.run import write_report
        from hyperfit.runs.directory import RunDir

        print(write_report(RunDir.open(self.run_folder), self.texts))
