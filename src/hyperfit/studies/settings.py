"""On what a study is run."""

from dataclasses import dataclass, replace

from hyperfit.errors import UserError
from hyperfit.evaluation.settings import CONTINUATION
from hyperfit.models.builtin import smollm2
from hyperfit.recipes.presets import PRESETS
from hyperfit.recipes.recipe import Precision, Recipe


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """On which model and texts, and how thoroughly, studies are run. Raises UserError naming every bad field."""

    model: str = smollm2.NAME
    """Model that is hyperfitted: a folder, a hub id, builtin:smollm2 or builtin:tiny; for the study images one of
    pictures."""
    data: str = "builtin:fiction"
    """Training texts of every study but those that vary them; for a model of pictures these, and builtin:shapes if none
    are named."""
    text_column: str | None = None
    """Column that holds the text, of --data that is a table."""
    image_column: str | None = None
    """Column that holds the pictures, or array, of --data and --contexts that have several."""
    skip_unusable: bool = False
    """Pass over pictures that cannot be read, of --data and --contexts, instead of ending with their names."""
    samples: int | None = None
    """Training sequences. None: the preset's of a built-in model, else 200."""
    length: int | None = None
    """Tokens of a training sequence. None: the preset's of a built-in model, else 256."""
    stop_loss: float | None = None
    """Training loss at which trainings end. None: the preset's of a built-in model, else 0.05."""
    epochs: int | None = None
    """Most epochs of a training; the study dynamics takes twice as many, whatever the loss. None: as many as training
    takes by itself."""
    seeds: int = 3
    """Trainings of each kind, with seeds 0, 1, 2, ...; held-out texts are the same in all."""
    contexts: tuple[str, ...] = ("builtin:fiction", "builtin:news", "builtin:wiki")
    """Texts to continue: files, folders, hub data sets or builtin:NAME, of which what was not trained on is used; for a
    model of pictures one source of these, and what is held out of --data if none is named."""
    most_contexts: int = 24
    """Most contexts in all, as many from each source."""
    context: int = 32
    """Tokens of a context."""
    total: int = 128
    """Tokens of context and continuation together."""
    scorer: str | None = None
    """Model under which studies that ask for it measure how well texts follow from their contexts and, where mauve-text
    is installed, MAUVE: builtin:smollm2 for texts of a smaller model, or one that is larger than --model. None: not
    measured."""
    tasks: tuple[str, ...] = (CONTINUATION,)
    """Of the studies downstream and strength: tasks, groups and tags of lm-eval (mmlu, glue), YAML files or folders of
    tasks, or builtin:continuation: which of four continuations of an embedded text is the real one."""
    task_limit: int | None = None
    """Examples of each task, the first. None: all."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """bf16, fp32; auto: as training and evaluation choose."""

    def __post_init__(self) -> None:
        low = {"seeds": 1, "most_contexts": 2, "context": 1, "samples": 1, "length": 2, "epochs": 1, "task_limit": 1}
        problems = [
            f"--{name.replace('_', '-')} {value}: give a whole number of {least} or more"
            for name, least in low.items()
            if (value := getattr(self, name)) is not None and value < least
        ]
        if self.stop_loss is not None and not self.stop_loss > 0:
            problems.append(f"--stop-loss {self.stop_loss}: give a number above 0")
        if self.total <= self.context:
            problems.append(f"--total {self.total}: give more than the --context of {self.context}")
        if not self.tasks:
            problems.append("--tasks: give at least one")
        if problems:
            raise UserError(*problems)

    @property
    def recipe(self) -> Recipe:
        """What studies vary: the preset of a built-in model, else the defaults of training with 200 sequences.

        With 64 of data that come with hyperfit, which have no more than 80 texts.
        """
        preset = PRESETS.get(self.model.removeprefix("builtin:")) if self.model.startswith("builtin:") else None
        most = 64 if self.data.startswith("builtin:") else 200
        base = preset(self.model, self.data) if preset else Recipe(model=self.model, data=self.data, samples=most)
        return replace(
            base,
            text_column=self.text_column,
            image_column=self.image_column,
            skip_unusable=self.skip_unusable,
            samples=self.samples or base.samples,
            length=self.length or base.length,
            stop_loss=self.stop_loss or base.stop_loss,
            epochs=self.epochs or base.epochs,
            device=self.device,
            precision=self.precision,
            heldout_seed=0,
            stop_copying=None,
            probe_every=0,
            greedy_every=0,
            probe_texts=1,
        )
