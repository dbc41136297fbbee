"""What is asked about a pair of models: which studies, on which texts, how finely."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from hyperfit.errors import UserError
from hyperfit.generation.settings import too_small, useless_text_column
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.recipes.recipe import Precision

Study = Literal["temperature", "bias", "ranks", "geometry", "lens", "intervention", "encouragement", "placement"]
STUDIES: tuple[Study, ...] = get_args(Study)
"""In the order in which they run and are told."""
UNASKED: tuple[Study, ...] = tuple(study for study in STUDIES if study != "placement")
"""Those that run if none is named: not the one that trains models."""


@dataclass(frozen=True, kw_only=True)
class MechanismSettings:
    """What is studied. Raises UserError naming every bad field."""

    studies: tuple[Study, ...] = UNASKED
    """temperature: the base model at equal entropy; bias: promoted tokens injected; ranks: where choices come from in
    the base model's order; geometry: hidden states by layer; lens: what each layer would say; intervention: whether
    the last layers cause it; encouragement: human tokens near the top. Only if named, and only of a run: placement,
    where to adapt, which trains the run's recipe anew about five times for every block, in placement/."""
    contexts: tuple[str, ...] = ()
    """Texts, or pictures, to study: files, folders, hub data sets or builtin:NAME; of a run, what was not trained on is
    used. Empty: what the run holds out of its own data."""
    text_column: str | None = None
    """Column that holds the text, of --contexts that are tables. None: "text", or the only column of strings."""
    image_column: str | None = None
    """Column that holds the pictures, or array, of --contexts that have several."""
    skip_unusable: bool = False
    """Pass over pictures of --contexts that cannot be read, instead of ending with their names."""
    most_contexts: int = 64
    """Most texts in all, chosen at random, as many from each source."""
    context: int = 32
    """Tokens at the start of each text that the models continue."""
    total: int = 128
    """Tokens of context and continuation together."""
    share: float = 0.25
    """Of each picture, from the top, that models of pictures complete; pictures are studied whole."""
    alphas: tuple[float, ...] = (-0.5, 0.0, 0.01, 0.1, 0.5, 1.0)
    """Strengths of the static bias: 1 is the whole mean shift of the logits, 0 none."""
    promoted: tuple[int, ...] = (50, 500)
    """How many of the most promoted tokens get the bias."""
    pictures: int = 3
    """Texts of which the lens draws a picture: what each layer would say, position by position."""
    intervention_contexts: int = 24
    """Most texts that the interventions continue, once for each altered model."""
    scales: tuple[float, ...] = (0.0, 0.5, 1.0, 1.5)
    """Strengths of the update of the blocks that differ, as interventions: 0 is the base model, 1 the tuned one."""
    removed: tuple[int, ...] = ()
    """Directions of the last block's output to keep or to remove, as interventions. Empty: 1/32, 1/8, 1/4 and 1/2 of
    the width."""
    scorer: str | None = None
    """A stronger model with the same vocabulary that says which leading tokens are acceptable. None: that is left
    out."""
    depths: tuple[int, ...] = ()
    """placement: numbers of last blocks to train, by adapters and whole, in turn; always among them: all, and those of
    the run, or 5 where it was not trained by late-lora or late-full. Empty: 1 to all."""
    adapter_lr: float | None = None
    """placement: learning rate of adapters. None: the run's if it trained adapters, else as of training."""
    full_lr: float | None = None
    """placement: learning rate where all parameters are trained; where those of the last n blocks are, it is larger,
    in proportion to all blocks over n. None: that of the run if it was trained so, else as of training."""
    batch_size: int = 32
    """Texts continued at once."""
    context_seed: int = 0
    """Seed of the choice of contexts."""
    seed: int = 0
    """Seed of the sampling and of the random controls."""
    device: str = "auto"
    """auto, cpu, cuda, ..."""
    precision: Precision = "auto"
    """fp32, or bf16 as in training under it; auto: fp32 on the CPU, else as training chooses."""

    def __post_init__(self) -> None:
        problems = too_small(
            self, most_contexts=2, context=1, pictures=0, intervention_contexts=2, batch_size=1, context_seed=0, seed=0
        )
        if not 0 < self.share < 1:
            problems.append(f"--share {self.share:g}: give a share between 0 and 1; the paper takes 0.25")
        if self.total < self.context + TTR_WINDOW:
            problems.append(
                f"--total {self.total}: give {self.context + TTR_WINDOW} or more, as the type-token ratio is that of "
                f"{TTR_WINDOW} tokens behind the --context of {self.context}"
            )
        problems += [
            f"--studies {name}: give some of {', '.join(STUDIES)}" for name in self.studies if name not in STUDIES
        ]
        if self.text_column is not None and not self.contexts:
            problems.append(useless_text_column("--contexts"))
        if not self.studies:
            problems.append(f"--studies: give some of {', '.join(STUDIES)}")
        if len(set(self.alphas)) < 3 or not all(map(math.isfinite, self.alphas)):
            problems.append(f"--alphas {_listed(self.alphas)}: give three or more different finite numbers")
        if not all(map(math.isfinite, self.scales)):
            problems.append(f"--scales {_listed(self.scales)}: give finite numbers")
        if "placement" not in self.studies:
            problems += [
                f"--{name.replace('_', '-')}: is for the study placement; name it in --studies, or leave it out"
                for name in ("depths", "adapter_lr", "full_lr")
                if getattr(self, name) != getattr(MechanismSettings, name)
            ]
        for flag, rate in (("adapter-lr", self.adapter_lr), ("full-lr", self.full_lr)):
            if rate is not None and not 0 < rate <= 1:
                problems.append(f"--{flag} {rate}: give a number above 0, at most 1")
        for flag, counts in (("promoted", self.promoted), ("removed", self.removed), ("depths", self.depths)):
            problems += [f"--{flag} {count}: give 1 or more" for count in counts if count < 1]
        if problems:
            raise UserError(*problems)


def _listed(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in values)
