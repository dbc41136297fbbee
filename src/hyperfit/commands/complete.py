"""hyperfit complete."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.errors import UserError
from hyperfit.generation.decodings import spellings
from hyperfit.image.settings import GRID, CompletionSettings


@dataclass(frozen=True, kw_only=True)
class Complete(CompletionSettings):
    """Complete pictures from their first part with a hyperfitted model of pictures and its base, side by side.

    Prints how each model and decoding repeats itself, how far its completions are from the pictures themselves, and
    whether they copy training pictures. Writes one PNG: what was given, what each model and decoding made of it, the
    picture itself, and the training picture that the hyperfitted model's completion is nearest to.

    Example: hyperfit complete runs/birds --share 0.25 -o birds.png
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """A run on pictures, which is compared with its base model, or any model of pictures: a folder or a hub id."""
    decodings: Annotated[
        tuple[str, ...], arg(help=f"By name, or with other values, as in nucleus:top_p=0.95. {spellings()}.")
    ] = ("greedy", "nucleus")
    json: Json = False
    """Print the measures as JSON instead of a table."""
    shown: int = 12
    """Most pictures in the PNG, the first; all are measured."""
    output: Annotated[Path | None, arg(aliases=["-o"], metavar="FILE")] = None
    """The PNG file; beside it go the measures, as .json, and all completions, as .jsonl. None: completions.png in the
    run, where hyperfit report and hyperfit prefer find them, or in this folder for a model that is no run."""

    groups: ClassVar = {
        "pictures": ("pictures", "image_column", "skip_unusable", "count", "share"),
        "how the models go on": ("decodings", "seed", "batch_size"),
        "blocked citations": ("block_citations", "citation_tokens", "citation_generated_only"),
        "measures": ("features",),
        "machine": ("device", "precision"),
        "what is written": ("output", "shown", "json"),
    }

    def run(self) -> None:
        """Write the grid, print the measures and where it is."""
        from hyperfit.runs.files import check_writable
        from hyperfit.runs.result import is_run

        target = self.output or (Path(self.model) / GRID if is_run(self.model) else Path(GRID))
        if self.shown < 1:
            raise UserError(f"--shown {self.shown}: give 1 or more")
        if target.is_dir():
            raise UserError(f"--output {target}: is a folder; name a file for the picture, such as {GRID} in it")
        check_writable(target.parent)
        settings = CompletionSettings(**{field.name: getattr(self, field.name) for field in fields(CompletionSettings)})
        show_completions(settings, target, self.shown, as_json=self.json)


def show_completions(settings: CompletionSettings, target: Path, shown: int, *, as_json: bool) -> None:
    """Complete pictures, write the grid to ``target`` and the measures beside it, print these and where it is."""
    from hyperfit.image.completion.complete import complete
    from hyperfit.image.completion.files import write_completions
    from hyperfit.report.tables.pictures import difference_sheet, likelihood_sheet, picture_sheet
    from hyperfit.report.tables.table import TerminalSheets

    found = complete(settings)
    plain = write_completions(found, settings, target, shown)
    if as_json:
        print(json.dumps({**plain, "grid": str(target)}, ensure_ascii=False))
        return
    compared = found.comparisons()
    differences = [difference_sheet(compared)] if compared else []
    sheets = [picture_sheet(found.scores), *differences, likelihood_sheet(found.likelihoods())]
    terminal().print(TerminalSheets(sheets), highlight=False)
    print(f"Pictures: {target}; measures: {target.with_suffix('.json')}")
