"""What completions leave on disk: the grid as PNG; beside it the measures as JSON, and all of them as lines."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hyperfit.image.completion.completions import Completions
from hyperfit.image.completion.grid import Column, write_grid
from hyperfit.image.completion.written import as_text
from hyperfit.image.settings import CompletionSettings
from hyperfit.metrics.estimate import Estimate
from hyperfit.runs.files import write_json, writing


def write_completions(found: Completions, settings: CompletionSettings, target: Path, shown: int) -> dict[str, Any]:
    """Write the first ``shown`` pictures to a PNG file, beside it ``lines`` and the measures, which are returned."""
    write_grid([Column(one.heading, one.pixels[:shown]) for one in found.columns()], target)
    plain = {
        "settings": asdict(settings),
        "conditions": {name: as_json(row) for name, row in found.scores.items()},
        "comparisons": {name: as_json(row) for name, row in found.comparisons().items()},
        "likelihoods": as_json(found.likelihoods()),
    }
    write_json(target.with_suffix(".json"), plain)
    with writing(target.with_suffix(".jsonl")) as aside:
        aside.write_text("".join(json.dumps(line) + "\n" for line in lines(found, settings)), encoding="utf-8")
    return plain


def as_json(estimates: Mapping[str, Estimate]) -> dict[str, Any]:
    """Plain values of estimates."""
    return {name: one.to_dict() for name, one in estimates.items()}


def lines(found: Completions, settings: CompletionSettings) -> Iterator[dict[str, Any]]:
    """Every completion as ``hyperfit.image.completion.written`` has it, with what made it and the picture itself.

    As ``hyperfit prefer`` takes texts. All are in the model's own colours, the picture itself, too.
    """
    originals = found.palette.pixels(found.human)
    for condition in found.tokens:
        model, _, decoding = condition.rpartition("/")
        made_by = {**({"model": model} if model else {}), "decoding": decoding, "seed": settings.seed}
        for name, picture, original in zip(
            found.originals.pictures.origins, found.pixels(condition), originals, strict=True
        ):
            context, continuation = as_text(picture, found.given)
            reference = as_text(original, found.given)[1]
            yield {"context": context, "continuation": continuation, "reference": reference, **made_by, "picture": name}
