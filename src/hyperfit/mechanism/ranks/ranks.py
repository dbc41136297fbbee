"""Where in the base model's order the hyperfitted model's choices stand, position by position."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.pair.predictions import pair_predictions

Ints = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Both sides' choices on the same texts; int64[texts, positions]."""

    chosen: Ints
    """The tuned model's token."""
    displaced: Ints
    """The base model's likeliest token."""
    rank: Ints
    """Of the chosen token under the base model: 1 + tokens with a strictly larger logit; ties share the best."""
    preferred: Ints
    """The tuned model's likeliest token; it differs from ``chosen`` only where texts of its own were given."""

    @property
    def overrides(self) -> NDArray[np.bool_]:
        """Where the base model strictly prefers another token."""
        return self.rank > 1

    def deeper_than(self, rank: int) -> NDArray[np.float64]:
        """float64[texts]: share of each text's choices from below that rank."""
        return np.asarray((self.rank > rank).mean(axis=1), np.float64)


def choices(
    pair: Pair,
    texts: Tensor,
    *,
    skip: int = 1,
    free_running: bool = False,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Choices:
    """Rank the tuned model's choices for tokens ``skip`` to the last of int64[texts, length] under the base model.

    Teacher-forced: the choice is the tuned model's likeliest token after the text so far. free_running: the texts are
    the tuned model's own greedy continuations, and the choice is the token that stands there; with no end-of-text token
    allowed, or with another rounding of another batch shape, it is not always the likeliest.
    """
    rows: list[Tensor] = []
    for chunk in pair_predictions(pair, texts=texts, skip=skip, batch_size=batch_size, advance=advance):
        base, tuned = chunk.logits
        preferred = tuned.argmax(-1)
        chosen = texts[chunk.text, chunk.place].to(base.device) if free_running else preferred
        rank = 1 + (base > base.gather(-1, chosen[:, None])).sum(-1)
        rows.append(torch.stack([chosen, base.argmax(-1), rank, preferred]).cpu())
    chosen, displaced, rank, preferred = torch.cat(rows, dim=1).unflatten(1, (len(texts), -1)).numpy()
    return Choices(chosen=chosen, displaced=displaced, rank=rank, preferred=preferred)
