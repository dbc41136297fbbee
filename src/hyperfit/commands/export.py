"""hyperfit export."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json, terminal
from hyperfit.export.settings import ExportSettings

if TYPE_CHECKING:
    from rich.table import Table
    from transformers import PreTrainedTokenizerBase

    from hyperfit.export.verify import Difference

SHOWN = 10
"""First differences that are shown."""


@dataclass(frozen=True, kw_only=True)
class ExportCommand(ExportSettings):
    """Write a run's model as other programs load it: merged weights, the adapter, or a GGUF file for llama.cpp.

    What was written is loaded again and continues held-out contexts beside the run's own model; how many texts and
    choices differ is shown, and stands in the model card. Rounding decides near-ties otherwise; another model is not
    kept.

    Example: hyperfit export runs/stories --gguf Q8_0 --license apache-2.0
    """

    run_folder: Annotated[Positional[Path], arg(name="run", metavar="RUN")]
    """A run made by hyperfit train, or a kept epoch of one (RUN/epochs/005)."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """A folder that is new or empty. None: RUN/export/FORM."""
    json: Json = False
    """Print what was written and how it compares as JSON."""

    groups: ClassVar = {
        "form": ("form", "dtype", "gguf", "strength"),
        "how it is verified": (
            "contexts", "text_column", "most_contexts", "context", "new_tokens", "batch_size",
        ),
        "the model card": ("name", "base_model", "license"),
        "upload": ("push", "public"),
        "machine": ("device", "precision"),
        "what is written": ("output", "json"),
    }  # fmt: skip

    def run(self) -> None:
        """Export, and say what was written and how it compares."""
        from hyperfit.export.card import verified
        from hyperfit.export.export import export_run
        from hyperfit.models.loading import load_tokenizer
        from hyperfit.prefix.disk.sizes import readable
        from hyperfit.runs.directory import RunDir
        from hyperfit.runs.json_values import json_values

        settings = ExportSettings(**{field.name: getattr(self, field.name) for field in fields(ExportSettings)})
        run = RunDir.open(self.run_folder)
        made = export_run(run, settings, self.output)
        if self.json:
            print(json.dumps(json_values(made) | {"folder": str(made.folder)}, ensure_ascii=False))
            return
        if made.verification.differences:
            console = terminal()
            with console.capture() as page:
                console.print(table(made.verification.differences, load_tokenizer(run.recipe.model)))
            print(page.get())
        print(verified(made.verification))
        print(f"{made.about.name}, {made.about.what}: {made.folder} ({readable(sum(made.files.values()))})")
        if made.address is not None:
            print(made.address)


def table(differences: "tuple[Difference, ...]", tokenizer: "PreTrainedTokenizerBase") -> "Table":
    """Where texts first differ, the nearest ties last, as many as are shown."""
    from rich.table import Table
    from rich.text import Text

    from hyperfit.numbers import COUNT, THOUSANDTHS, UNDEFINED

    title = f"First differences, {min(SHOWN, len(differences))} of {len(differences)}, the clearest first"
    found = Table(title=title, title_justify="left", box=None)
    for heading in ("context", "token", "before", "after", "nats to the second", "rank before"):
        found.add_column(heading)
    for one in sorted(differences, key=lambda one: -one.gap)[:SHOWN]:
        found.add_row(
            COUNT(one.context + 1),
            COUNT(one.token + 1),
            *(Text(repr(tokenizer.decode([token]))) for token in (one.before, one.after)),
            THOUSANDTHS(one.gap),
            UNDEFINED if one.rank is None else COUNT(one.rank),
        )
    return found
