"""What hyperfit complete has left in the folder of a run: the grid of pictures, and their measures."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.image.settings import GRID
from hyperfit.metrics.estimate import Estimate


@dataclass(frozen=True)
class Completed:
    """Completions as a page shows them."""

    grid: str
    """The PNG as a data URI: the page needs no other file."""
    scores: dict[str, dict[str, Estimate]]

    @property
    def conditions(self) -> list[str]:
        """Of all rows of the table."""
        return list(self.scores)


def read_completions(folder: Path) -> Completed | None:
    """What lies in the folder; None if nothing was completed. Raises UserError for a damaged file."""
    grid, measures = folder / GRID, (folder / GRID).with_suffix(".json")
    if not (grid.is_file() and measures.is_file()):
        return None
    try:
        found = json.loads(measures.read_text(encoding="utf-8"))["conditions"]
        scores = {name: {key: Estimate.from_dict(one) for key, one in row.items()} for name, row in dict(found).items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{measures}: cannot be read ({error}); repeat hyperfit complete") from error
    return Completed(f"data:image/png;base64,{base64.b64encode(grid.read_bytes()).decode()}", scores)
