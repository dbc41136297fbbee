"""What is to be planned: a training, and the machine that it is to fit."""

import math
from dataclasses import dataclass

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import MOST_SAMPLES, Method, Precision, Recipe

A100 = 312.0
"""Of an A100 in bf16, as its maker gives it, 10^12 operations a second."""


@dataclass(frozen=True, kw_only=True)
class PlanSettings:
    """A training, and the machine that it is to fit. Raises UserError naming every bad field."""

    model: str
    """Model folder, hub id, builtin:smollm2 or builtin:tiny; of a folder only its config.json is read."""
    method: Method | None = None
    """One method (late-lora, late-full, lora, full). None: all four, and the late ones with --streaming."""
    late_blocks: int | None = None
    """Blocks, counted from the last, that learn (late-lora and late-full). None: two thirds of the model's."""
    rank: int = Recipe.rank
    """Rank of the adapters."""
    batch_size: int = Recipe.batch_size
    """Sequences in one forward pass, per GPU."""
    accumulate: int = Recipe.accumulate
    """Forward passes in one update."""
    samples: int = MOST_SAMPLES
    """Training sequences."""
    length: int = Recipe.length
    """Tokens of a sequence."""
    precision: Precision = "auto"
    """bf16: bfloat16 autocast over fp32 trained weights; auto: bf16 on GPUs, and on a CPU that is fast at it."""
    gpus: int = 1
    """GPUs that train together, each with all of the model; 0: on the CPU of this machine."""
    gpu_memory: float = 80.0
    """GB of each GPU."""
    tflops: float | None = None
    """10^12 operations a second of a GPU, in the precision, as its maker gives them: A100 312, H100 989, L40S 362, RTX
    4090 165 in bf16. None: an A100's; on the CPU, where nobody knows, no time is told."""
    utilisation: float = 0.4
    """Share of these operations that training reaches."""

    def __post_init__(self) -> None:
        problems = [
            f"--{name.replace('_', '-')} {getattr(self, name)}: give a whole number of {least} or more"
            for name, least in (("gpus", 0), ("samples", 1))
            if getattr(self, name) < least
        ]
        for name in ("gpu_memory", "tflops", "utilisation"):
            value = getattr(self, name)
            if value is not None and not (math.isfinite(value) and value > 0):
                problems.append(f"--{name.replace('_', '-')} {value:g}: give a number above 0")
        if self.utilisation > 1:
            problems.append(f"--utilisation {self.utilisation:g}: give a share of at most 1; 0.3 to 0.5 is usual")
        try:
            self.recipe(self.method or Recipe.method)
        except UserError as error:
            problems += error.problems
        if problems:
            raise UserError(*problems)

    def recipe(self, method: Method) -> Recipe:
        """The training by one method; late blocks, rate and precision as they were given."""
        return Recipe(
            model=self.model,
            data="TEXTS",
            method=method,
            late_blocks=self.late_blocks if method.startswith("late") else None,
            rank=self.rank,
            batch_size=self.batch_size,
            accumulate=self.accumulate,
            samples=self.samples,
            length=self.length,
            precision=self.precision,
        )
