"""hyperfit demo."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from hyperfit.commands.output import Json, show_results
from hyperfit.console import say
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.recipes.presets import tiny, tiny_full

CONTEXTS = ("builtin:fiction", "builtin:news", "builtin:wiki")
BATCH = 72
"""All held-out contexts at once: the embedded model is small."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The main job on the embedded model and texts, in a few minutes: train, evaluate, compare, report.

    A small language model that loops under greedy decoding is trained to near-zero loss on a few short stories;
    then it and the original continue the same held-out contexts. A demo that was interrupted goes on.
    """

    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/demo, or runs/demo-full."""
    method: Literal["late-lora", "full"] = "late-lora"
    """late-lora: adapters in the last blocks; full: all parameters."""
    json: Json = False
    """Print the results as JSON instead of a table."""

    def run(self) -> None:
        """Train, evaluate, print, and write the report."""
        from hyperfit.evaluation.evaluate import evaluate
        from hyperfit.report.pages.run import write_report
        from hyperfit.training.loop import train

        recipe = (tiny_full if self.method == "full" else tiny)("builtin:tiny", "builtin:fiction")
        run = train(
            recipe, self.output or Path("runs/demo" if self.method == "late-lora" else "runs/demo-full"), resume=True
        )
        say("continuing held-out contexts with the base and the hyperfitted model, and measuring both")
        evaluate(run, EvaluationSettings(contexts=CONTEXTS, batch_size=BATCH))
        write_report(run)
        show_results(run, as_json=self.json, texts=3)
