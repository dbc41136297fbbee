"""What hyperfit complete has left in the folder of a run: the grid of pictures, and their measures."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.image.settings import GRID
from hyperfit.metrics.estimate import Estimate
from hyperfit.report.tables.pictures import difference_sheet, likelihood_sheet, picture_sheet
from hyperfit.report.tables.table import Sheet


@dataclass(frozen=True)
class Completed:
    """Completions as a page shows them."""

    grid: str
    """The PNG as a data URI: the page needs no other file."""
    scores: dict[str, dict[str, Estimate]]
    comparisons: dict[str, dict[str, Estimate]]
    likelihoods: dict[str, Estimate]

    @property
    def conditions(self) -> list[str]:
        """Of all rows of the table."""
        return list(self.scores)

    @property
    def sheets(self) -> list[Sheet]:
        """Every table of them."""
        differences = [difference_sheet(self.comparisons)] if self.comparisons else []
        return [picture_sheet(self.scores), *differences, likelihood_sheet(self.likelihoods)]


def read_completions(folder: Path) -> Completed | None:
    """What lies in the folder; None if nothing was completed. Raises UserError for a damaged file."""
    grid, measures = folder / GRID, (folder / GRID).with_suffix(".json")
    if not (grid.is_file() and measures.is_file()):
        return None
    try:
        found = json.loads(measures.read_text(encoding="utf-8"))
        scores = {name: estimates(row) for name, row in dict(found["conditions"]).items()}
        comparisons = {name: estimates(row) for name, row in dict(found["comparisons"]).items()}
        likelihoods = estimates(found["likelihoods"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(f"{measures}: cannot be read ({error}); repeat hyperfit complete") from error
    return Completed(
        f"data:image/png;base64,{base64.b64encode(grid.read_bytes()).decode()}", scores, comparisons, likelihoods
    )


def estimates(plain: dict[str, dict[str, float | int | None]]) -> dict[str, Estimate]:
    """Estimates by name as they were before they became plain values."""
    return {name: Estimate.from_dict(one) for name, one in plain.items()}
