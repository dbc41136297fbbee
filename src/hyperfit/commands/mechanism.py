"""hyperfit mechanism."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

from tyro.conf import Positional, arg

from hyperfit.commands.interface.output import Json
from hyperfit.mechanism.settings import UNASKED, MechanismSettings, Study


@dataclass(frozen=True, kw_only=True)
class Mechanism(MechanismSettings):
    """Study what hyperfitting changed inside a model, and why it writes: temperature, ranks, layers, interventions.

    Prints one finding a study; writes mechanism.json, mechanism.html, plots/ and tables/ into the run's folder, or into
    --output for models trained elsewhere. Studies that lie there with the same settings are not run again.

    Example: hyperfit mechanism --base models/llama --tuned models/mine --contexts stories.jsonl -o out
    """

    run_folder: Annotated[Positional[Path | None], arg(name="run", metavar="[RUN]")] = None
    """A run made by hyperfit train; without one, give --base, --tuned, --contexts and --output."""
    base: str | None = None
    """Model that the tuned one was made from: a folder, a hub id, builtin:smollm2 or builtin:tiny."""
    tuned: str | None = None
    """Model made from it: a model folder, a hub id, an adapter folder, or a run."""
    studies: Annotated[tuple[Study, ...], arg(metavar="[STUDY ...]")] = UNASKED
    """temperature: the base model at equal entropy; bias: promoted tokens injected; ranks: where choices come from in
    the base model's order; geometry: hidden states by layer; lens: what each layer would say; intervention: whether
    the last layers cause it; encouragement: human tokens near the top. Only if named, and only of a run: placement,
    where to adapt, which trains the run's recipe anew about five times for every block, in placement/."""
    contexts: Annotated[tuple[str, ...], arg(aliases=["--data"])] = ()
    """Texts, or pictures, to study: files, folders, hub data sets or builtin:NAME; of a run, what was not trained on is
    used. Empty: what the run holds out of its own data."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the results. None: the run's."""
    again: bool = False
    """Run every study anew, also those that lie there with the same settings. Trainings in placement/ are kept; remove
    that folder to repeat them."""
    json: Json = False
    """Print the results as JSON instead of sentences."""

    groups: ClassVar = {
        "models trained elsewhere": ("base", "tuned"),
        "studies": ("studies", "again"),
        "texts": (
            *("contexts", "text_column", "image_column", "skip_unusable"),
            *("most_contexts", "context", "total", "share", "context_seed"),
        ),
        "bias": ("alphas", "promoted"),
        "lens": ("pictures",),
        "intervention": ("intervention_contexts", "scales", "removed"),
        "encouragement": ("scorer",),
        "placement": ("depths", "adapter_lr", "full_lr"),
        "machine and seed": ("device", "precision", "batch_size", "seed"),
        "what is written": ("output", "json"),
    }
    positional_unless: ClassVar = ("--base", "--tuned")

    def run(self) -> None:
        """Study, print, and write the page."""
        from hyperfit.mechanism.pair.inputs import model_pair
        from hyperfit.report.pages.mechanism import write_mechanism_page
        from hyperfit.report.pages.run import write_report
        from hyperfit.studies.explain import explain

        settings = MechanismSettings(**{field.name: getattr(self, field.name) for field in fields(MechanismSettings)})
        models = model_pair(self.run_folder, base=self.base, tuned=self.tuned, output=self.output)
        results = explain(models, settings, again=self.again)
        page = write_mechanism_page(models.output, results)
        if models.run is not None and models.output == models.run.path and (models.run.path / "report.html").is_file():
            write_report(models.run)
        if self.json:
            print(json.dumps(results, ensure_ascii=False))
            return
        for name, found in results["studies"].items():
            print(f"{name}: {found['sentence']}\n")
        print(f"Page: {page}")
