"""The main job on the embedded model and texts, from training to the report."""

from pathlib import Path

from hyperfit.console import say
from hyperfit.evaluation import evaluate
from hyperfit.presets import tiny, tiny_full
from hyperfit.report.page import write_report
from hyperfit.requests import Evaluation
from hyperfit.rundir import RunDir
from hyperfit.training import train

CONTEXTS = ("builtin:fiction", "builtin:news", "builtin:wiki")
BATCH = 72
"""All held-out contexts at once: the embedded model is small."""


def demo(output: Path, method: str = "late-lora") -> RunDir:
    """Hyperfit the embedded model on short stories, then measure it on stories, news and encyclopedic texts.

    method: late-lora or full. A demo found half-way in ``output`` goes on.
    """
    recipe = (tiny_full if method == "full" else tiny)("builtin:tiny", "builtin:fiction")
    run = train(recipe, output, resume=True)
    say("continuing held-out contexts with the base and the hyperfitted model, and measuring both")
    evaluate(run, Evaluation(contexts=CONTEXTS, batch_size=BATCH))
    write_report(run)
    return run
