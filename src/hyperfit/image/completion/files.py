"""What completions leave on disk: the grid as PNG, and the measures beside it as JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperfit.image.completion.completions import Completions
from hyperfit.image.completion.grid import Column, write_grid
from hyperfit.image.settings import CompletionSettings
from hyperfit.runs.files import write_json


def write_completions(found: Completions, settings: CompletionSettings, target: Path, shown: int) -> dict[str, Any]:
    """Write the first ``shown`` pictures to a PNG file, and settings and measures beside it; the measures, plain."""
    write_grid([Column(one.heading, one.pixels[:shown]) for one in found.columns()], target)
    plain = {
        "settings": asdict(settings),
        "conditions": {name: {key: one.to_dict() for key, one in row.items()} for name, row in found.scores.items()},
        "likelihoods": {name: one.to_dict() for name, one in found.likelihoods().items()},
    }
    write_json(target.with_suffix(".json"), plain)
    return plain
