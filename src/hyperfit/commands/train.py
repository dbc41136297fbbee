"""hyperfit train."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from tyro.conf import Positional, arg

from hyperfit.console import say
from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.sizes import readable
from hyperfit.recipes.recipe import CacheMode, Recipe, Tracker, as_typed

PresetName = Literal[
    "carlsson2025", "li2026", "smollm2", "smollm2-late-lora", "smollm2-lora", "smollm2-full", "tiny", "tiny-full",
    "tiny-image",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Train(Recipe):
    """Train a model to near-zero loss on a few texts.

    Leaves in the output folder the recipe, the log of every epoch, and an adapter (or a model) in Hugging Face
    format. Ctrl-C leaves a run that the same command with --resume goes on with.

    Example: hyperfit train TinyLlama/TinyLlama_v1.1 --data stories.jsonl -o runs/stories
    """

    model: Annotated[Positional[str], arg(metavar="MODEL")]
    """Model folder, hub id, builtin:smollm2 or builtin:tiny; of pictures also builtin:tiny-image."""
    output: Annotated[Path | None, arg(aliases=["-o"])] = None
    """Folder of the run. None: runs/MODEL-DATA-METHOD."""
    preset: Annotated[PresetName | None, arg(metavar="NAME")] = None
    """Start from a recipe of the papers (carlsson2025, li2026) or of a built-in model (smollm2,
    smollm2-late-lora, smollm2-lora, smollm2-full, tiny, tiny-full, tiny-image); other flags change it."""
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
    log_with: tuple[Tracker, ...] = ()
    """Trackers that get the recipe and the numbers of every epoch, too: tensorboard (files in the run's folder), wandb,
    trackio, mlflow; each needs its package, and writes where its own settings say."""
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
        "the run": ("output", "preset", "resume", "log_with"),
    }

    @property
    def recipe(self) -> Recipe:
        """The settings without what only the command line knows."""
        return Recipe(**{field.name: getattr(self, field.name) for field in fields(Recipe)})

    def check_effect(self, given: Collection[str]) -> None:
        """Raises UserError for each of the ``given`` settings that can do nothing beside the others.

        What a preset or a default says is let be, and so is what turns something off.
        """
        probed = ("probe_every", "greedy_every", "probe_texts", "validation_samples", "stop_copying")
        method = f"--method {self.method}"
        hindrances = (
            (not self.late, method, ("late_blocks",)),
            (not self.adapters, method, ("target_modules", "rank", "alpha")),
            (
                not self.greedy_every,
                "--greedy-every 0, as it goes by what probes write between epochs",
                ("stop_copying",),
            ),
            (
                self.streaming,
                "--streaming, which cannot write greedy texts",
                ("greedy_every", "probe_texts", "stop_copying"),
            ),
            (not self.heldout, "--heldout 0, as it is for held-out texts", (*probed, "heldout_seed")),
            (self.prefix_cache == "off", "--prefix-cache off", ("cache_dir", "cache_limit")),
            (
                self.keep_every >= self.epochs,
                f"--epochs {self.epochs}, as it keeps what comes before the last",
                ("keep_every",),
            ),
        )
        problems = [
            f"--{name.replace('_', '-')} {as_typed(value)}: has no effect with {other}; leave it out or change that"
            for hindered, other, names in hindrances
            for name in names
            if hindered and name in given and not turned_off(name, value := getattr(self, name))
        ]
        if problems:
            raise UserError(*problems)

    def run(self) -> None:
        """Train and say where the result lies."""
        from accelerate import PartialState

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
            log_with=self.log_with,
        )
        if not PartialState().is_main_process:
            return
        pictures = of_pictures(model_folder(self.recipe.model))
        say(f"next: hyperfit {'complete' if pictures else 'evaluate'} {run.path}")


def turned_off(name: str, value: object) -> bool:
    """Whether a setting says that nothing be done."""
    return value is None or value == () or (name.endswith("_every") and value == 0)


def default_output(recipe: Recipe) -> Path:
    """runs/MODEL-DATA-METHOD, with the last part of each name."""
    model, data = (name.rstrip("/").split("/")[-1].removeprefix(PREFIX) for name in (recipe.model, recipe.data))
    if Path(recipe.data).is_file():
        data = Path(data).stem
    return Path("runs") / f"{model}-{data}-{recipe.method}".replace(":", "-")
