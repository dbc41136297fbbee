"""Which interventions are tried."""

import math
from dataclasses import dataclass

from hyperfit.errors import UserError
from hyperfit.metrics.text.diversity import TTR_WINDOW


@dataclass(frozen=True, kw_only=True)
class InterventionSettings:
    """Which points to try. Each costs one greedy continuation of every context and one pass over the human texts."""

    scales: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5)
    """Strengths of the last blocks' update."""
    scaled_blocks: int | None = None
    """How many blocks, from the last, have their update scaled; None for all that differ."""
    ranks: tuple[int, ...] = ()
    """Directions to keep or remove; empty for 1/32, 1/8, 1/4 and 1/2 of the width."""
    amounts: tuple[float, ...] = (0.5, 1.0)
    """Shares of the way by which the added spread is undone."""
    new_tokens: int = TTR_WINDOW
    """Tokens of each continuation."""
    skip: int = 32
    """The first token of the human texts that counts."""
    batch_size: int = 32
    """Contexts continued at a time."""
    seed: int = 0
    """Of the random directions."""

    def __post_init__(self) -> None:
        """Raises UserError with every problem."""
        problems = [f"--removed {rank}: give 1 or more" for rank in self.ranks if rank < 1]
        problems += [f"--amounts {share}: give 0 to 1" for share in self.amounts if not 0 <= share <= 1]
        problems += [f"--scales {scale}: give a finite number" for scale in self.scales if not math.isfinite(scale)]
        least = {"new_tokens": TTR_WINDOW, "scaled_blocks": 1, "skip": 1, "batch_size": 1}
        for name, bound in least.items():
            value = getattr(self, name)
            if value is not None and value < bound:
                problems.append(f"--{name.replace('_', '-')} {value}: give {bound} or more")
        if problems:
            raise UserError(*problems)
