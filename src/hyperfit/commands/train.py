"""hyperfit train."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg

from hyperfit.console import say
from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.sizes import readable
from hyperfit.recipes.recipe import CacheMode, Recipe

PresetName = Literal[
    "carlsson2025", "li2026", "smollm2", "smollm2-late-lora", "smollm2-lora", "smollm2-full", "tiny", "tiny-full"
]


@dataclass(frozen=True, kw_only=True)
class Train(Recipe):
    """Train a model to near-zero loss on a few texts.

    Leaves in the output folder the recipe, the log of every epoch, and an adapter (or a model) in Hugging Face
    format. Ctrl-C leaves a run that the same command with --resume goes on with.

    Example: hyperfit train TinyLlama/TinyLlama_v1.1 --data stories.jsonl -o runs/stories
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Model folder, hub id, builtin:smollm2 or builtin:tiny."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/MODEL-DATA-METHOD."""
    preset: Annotated[PresetName | None, arg(metavar="NAME")] = None
    """Start from a recipe of the papers (carlsson2025, li2026) or of a built-in model (smollm2,
    smollm2-late-lora, smollm2-lora, smollm2-full, tiny, tiny-full); other flags change it."""
    resume: bool = False
    """Go on with the run that lies in the output folder; begin it if none does."""
    prefix_cache: CacheMode = "auto"
    """auto: compute the frozen blocks once and read their output back, which changes speed and nothing else, where
    the model allows it; off; required: or fail."""
    cache_dir: Path | None = None
    """Folder of the prefix caches, shared by runs on the same model and data. None: .prefix-cache beside the run."""
    cache_limit: str = readable(LIMIT)
    """How much the prefix caches in that folder may take together, such as 20GB. Before a new one is filled, the least
    recently used go that no run reads."""
    streaming: bool = False
    """Never hold the frozen blocks: read them from the disk one at a time to fill the prefix cache, then train with
    the late blocks alone in memory. For models that are too large for this machine."""

    groups: ClassVar = {
        "data": (
            "data",
            "text_column",
            "image_column",
            "skip_unusable",
            "samples",
            "length",
            "chunking",
            "heldout",
            "heldout_seed",
        ),
        "what learns": ("method", "late_blocks", "blocks", "target_modules", "rank", "alpha"),
        "optimiser": ("lr", "weight_decay", "clip", "batch_size", "accumulate", "unlikelihood"),
        "when it stops": ("epochs", "stop", "stop_loss", "stop_copying"),
        "probes, and what is kept": (
            "probe_every",
            "greedy_every",
            "probe_texts",
            "validation_samples",
            "checkpoint_every",
            "keep_every",
        ),
        "prefix cache and memory": ("prefix_cache", "cache_dir", "cache_limit", "streaming"),
        "machine and seed": ("device", "precision", "compile", "seed", "order_seed", "order_swaps"),
        "the run": ("output", "preset", "resume"),
    }

    @property
    def recipe(self) -> Recipe:
        """The settings without what only the command line knows."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    def run(self) -> None:
        """Train and say where the result lies."""
        if problems := useless(self.recipe):
            raise UserError(*problems)
        from hyperfit.models.files.folders import model_folder
        from hyperfit.models.files.pictures import of_pictures
        from hyperfit.training.train import train

        run = train(
            self.recipe,
            self.output or default_output(self.recipe),
            resume=self.resume,
            prefix_cache=self.prefix_cache,
            cache_dir=self.cache_dir,
            cache_limit=self.cache_limit,
            streaming=self.streaming,
        )
        pictures = of_pictures(model_folder(self.recipe.model))
        say(f"next: hyperfit {'complete' if pictures else 'evaluate'} {run.path}")


def useless(recipe: Recipe) -> list[str]:
    """A problem for each flag that a recipe's method makes no use of."""
    unused = {"late_blocks": recipe.late} | dict.fromkeys(("target_modules", "rank", "alpha"), recipe.adapters)
    return [
        f"--{name.replace('_', '-')}: has no effect with --method {recipe.method}; leave it out"
        for name, used in unused.items()
        if not used and getattr(recipe, name) != getattr(Recipe, name)
    ]


def default_output(recipe: Recipe) -> Path:
    """runs/MODEL-DATA-METHOD, with the last part of each name."""
    model, data = (name.rstrip("/").split("/")[-1].removeprefix(PREFIX) for name in (recipe.model, recipe.data))
    if Path(recipe.data).is_file():
        data = Path(data).stem
    return Path("runs") / f"{model}-{data}-{recipe.method}".replace(":", "-")
