"""hyperfit demo."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, get_args

from tyro.conf import arg

from hyperfit.commands.complete import show_completions
from hyperfit.commands.interface.output import Json, show_results
from hyperfit.console import say
from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError, naming
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.image.settings import GRID, CompletionSettings
from hyperfit.models.builtin import smollm2
from hyperfit.recipes.presets import PRESETS
from hyperfit.recipes.recipe import Method, Recipe

Modality = Literal["text", "image"]
TINY = "builtin:tiny"
PICTURES = "builtin:tiny-image"
DRAWN = "builtin:shapes"
SHOWN = 12
"""Pictures in the grid."""
CONTEXTS = ("builtin:fiction", "builtin:news", "builtin:wiki")
DATA = "builtin:fiction"
JUDGED_LATE = (
    "To save time, copying was judged only at the end of training; hyperfit train --preset smollm2 looks at it every "
    "second epoch, and ends where texts recite"
)
"""The last line where a demo's training was not looked at between epochs."""


@dataclass(frozen=True, kw_only=True)
class Demo:
    """The main job on a real model and embedded texts, in a few minutes: train, evaluate, compare, report.

    SmolLM2-135M, a language model that loops under greedy decoding, is trained on a few short stories until it
    knows them nearly by heart; then it and the original continue the same held-out contexts. A demo that was
    interrupted goes on.

    With --modality image, a small model of pictures is trained on pictures that are drawn on the spot, and completes
    others from their first quarter.

    Example: hyperfit demo --modality image
    """

    modality: Modality | None = None
    """text, or image for a model of pictures. None: what the model is of, and text where none is named."""

    model: str | None = None
    """Model to hyperfit: a folder, a hub id, builtin:smollm2, builtin:tiny or builtin:tiny-image. None:
    builtin:smollm2, or builtin:tiny, with 11.7 million parameters, where the package that smollm2 comes with is not
    installed; of pictures builtin:tiny-image."""
    method: Method | None = None
    """What learns: late-full, late-lora, lora or full. None: late-full, late-lora for builtin:tiny, and full for
    pictures."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/demo-MODEL, or runs/demo-MODEL-METHOD where a method is named."""
    json: Json = False
    """Print the results as JSON instead of a table."""

    def run(self) -> None:
        """Train, evaluate, print, and write the report."""
        from hyperfit.evaluation.evaluate import evaluate
        from hyperfit.models.files.folders import model_folder
        from hyperfit.models.files.pictures import of_pictures
        from hyperfit.models.loading import load_config
        from hyperfit.report.pages.run import write_report
        from hyperfit.training.train import train

        model = self.model or (PICTURES if self.modality == "image" else default_model())
        with naming("--model"):
            load_config(model)
        pictures = of_pictures(model_folder(model))
        if self.modality is not None and pictures != (self.modality == "image"):
            raise UserError(
                f"--modality {self.modality}: {model} is a model of {'pictures' if pictures else 'text'}; leave one of "
                "them out"
            )
        recipe = demo_recipe(model, self.method, pictures=pictures)
        run = train(recipe, self.output or self.folder(model), resume=True)
        if pictures:
            say("completing held-out pictures with the base and the hyperfitted model, and measuring both")
            show_completions(CompletionSettings(model=str(run.path)), run.path / GRID, SHOWN, as_json=self.json)
            write_report(run)
            return
        say("continuing held-out contexts with the base and the hyperfitted model, and measuring both")
        evaluate(run, demo_evaluation(model))
        write_report(run)
        show_results(run.path, as_json=self.json, texts=3)
        if not recipe.greedy_every:
            say(JUDGED_LATE)

    def folder(self, model: str) -> Path:
        """Of the run, named by model and method."""
        name = model.rstrip("/").split("/")[-1].removeprefix(PREFIX)
        return Path("runs") / "-".join(["demo", name, *([self.method] if self.method else [])])


def default_model() -> str:
    """The real model, or, with a line that says how to get it, the embedded one."""
    try:
        if not smollm2.target().is_dir():
            smollm2.data_file()
    except UserError as error:
        say(f"{error}; going on with {TINY}")
        return TINY
    return smollm2.NAME


def demo_recipe(model: str, method: Method | None, *, pictures: bool = False) -> Recipe:
    """How the demo trains a model: the preset of its size and method, without looks between epochs where they cost."""
    name = "tiny-image" if pictures else "tiny" if model == TINY else "smollm2"
    data = DRAWN if pictures else DATA
    presets = {PRESETS[each](model, data).method: each for each in PRESETS if each in (name, *variants(name))}
    if method is not None and method not in presets:
        raise UserError(f"--method {method}: there is no such demo of {model}; give one of {', '.join(presets)}")
    recipe = PRESETS[presets[method] if method else name](model, data)
    return replace(recipe, greedy_every=0, probe_texts=4) if name == "smollm2" else recipe


def variants(name: str) -> list[str]:
    """What a preset is called with another method than its own."""
    return [f"{name}-{method}" for method in get_args(Method)]


def demo_evaluation(model: str) -> EvaluationSettings:
    """On what the demo compares: fewer and shorter texts for a larger model."""
    if model == TINY:
        return EvaluationSettings(contexts=CONTEXTS, batch_size=72)
    return EvaluationSettings(
        contexts=CONTEXTS,
        most_contexts=18,
        total=128,
        batch_size=18,
        decodings=("greedy",),
        blocked=(),
    )
