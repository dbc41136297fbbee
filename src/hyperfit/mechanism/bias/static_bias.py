"""A constant shift of logits: which tokens hyperfitting promotes, and a processor that promotes them by force."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from transformers import LogitsProcessor

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.pair.predictions import pair_predictions

Centre = Literal["mean", "log_softmax"]
By = Literal["rank", "log_rank"]
MOST_POSITIONS = 4096


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """How every token fares in the tuned model against the base model, averaged over positions."""

    shift: NDArray[np.float64]
    """float64[vocabulary]: tuned minus base logit, centred."""
    base_rank: NDArray[np.float64]
    tuned_rank: NDArray[np.float64]
    """float64[vocabulary]: mean rank, from 1 for the likeliest token."""
    base_log_rank: NDArray[np.float64]
    tuned_log_rank: NDArray[np.float64]
    """float64[vocabulary]: mean log rank, in which a rise from 20 to 10 counts as much as one from 2,000 to 1,000."""
    n: int
    """Positions."""

    def rise(self, by: By = "rank") -> NDArray[np.float64]:
        """float64[vocabulary]: how much nearer to the top a token stands on average; negative if it falls."""
        if by == "rank":
            return self.base_rank - self.tuned_rank
        return self.base_log_rank - self.tuned_log_rank

    def promoted(self, count: int, by: By = "rank") -> NDArray[np.int64]:
        """int64[count]: the tokens that rise most, the first most; of equal ones the lower id first.

        By rank these are mostly tokens from far down, which have the most room to rise; by log_rank they stand higher.
        """
        return np.argsort(-self.rise(by), kind="stable")[:count]


def promotion(
    pair: Pair,
    texts: Tensor,
    *,
    skip: int = 1,
    centre: Centre = "mean",
    most_positions: int = MOST_POSITIONS,
    batch_size: int = 8,
) -> Promotion:
    """Mean ranks and logit shifts on int64[texts, length], over at most ``most_positions`` evenly spaced positions.

    Logits are defined only up to a constant for each position, so a shift needs a zero. mean: the average token's
    shift, so that the mean of all shifts is 0. log_softmax: log-probabilities; as a sharper model lowers nearly every
    token, nearly all shifts are negative then, also those of tokens that rise. Ties in rank go to the lower id. Sums
    are float64; each position costs two sorts of the vocabulary.
    """
    every = math.ceil(len(texts) * (texts.shape[1] - skip) / most_positions)
    sums: Tensor = torch.zeros(())
    n = 0
    for chunk in pair_predictions(pair, texts=texts, skip=skip, every=every, batch_size=batch_size):
        ranks = [ranks_of(logits) for logits in chunk.logits]
        base, tuned = (
            logits - logits.mean(-1, keepdim=True) if centre == "mean" else logits.log_softmax(-1)
            for logits in chunk.logits
        )
        parts = [tuned - base, *ranks, *(rank.log() for rank in ranks)]
        sums = sums + torch.stack([part.sum(0).cpu().double() for part in parts])
        n += len(base)
    shift, base_rank, tuned_rank, base_log, tuned_log = (sums / n).numpy()
    return Promotion(
        shift=shift,
        base_rank=base_rank,
        tuned_rank=tuned_rank,
        base_log_rank=base_log,
        tuned_log_rank=tuned_log,
        n=n,
    )


def ranks_of(logits: Tensor) -> Tensor:
    """float32[positions, vocabulary]: 1 for the largest logit of a row, the vocabulary's size for the smallest."""
    order = logits.argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(1, logits.shape[-1] + 1, device=logits.device, dtype=torch.float32)
    return torch.empty_like(logits).scatter_(-1, order, places.expand_as(logits))


class StaticBias(LogitsProcessor):
    """Add ``alpha`` times a fixed shift to the logits of some tokens, whatever the text; other logits stay.

    Works in anyone's ``model.generate(logits_processor=LogitsProcessorList([...]))``. An alpha of 0 changes nothing,
    exactly; a negative one demotes the tokens.
    """

    def __init__(self, tokens: Sequence[int] | ArrayLike, shifts: Sequence[float] | ArrayLike, alpha: float) -> None:
        """tokens: int[count], all different. shifts: float[count], in logits (nats). alpha: finite."""
        self.tokens = torch.as_tensor(np.asarray(tokens, np.int64))
        self.shifts = torch.as_tensor(np.asarray(shifts, np.float64))
        self.alpha = float(alpha)
        problems = []
        if self.tokens.ndim != 1 or self.tokens.shape != self.shifts.shape:
            problems.append(
                f"StaticBias takes one shift for each token, not tokens {list(self.tokens.shape)} and shifts "
                f"{list(self.shifts.shape)}"
            )
        if len(self.tokens.unique()) != self.tokens.numel():
            problems.append("StaticBias: a token is given twice; add its shifts up")
        if bool((self.tokens < 0).any()):
            problems.append(f"StaticBias: token {int(self.tokens.min())} is below 0; give token ids")
        if not (bool(self.shifts.isfinite().all()) and math.isfinite(self.alpha)):
            problems.append("StaticBias: a shift or alpha is not finite; give numbers")
        if problems:
            raise UserError(*problems)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """float[rows, vocabulary] → the same with the shifts added."""
        if int(self.tokens.numel()) and self.tokens.max() >= scores.shape[-1]:
            raise UserError(f"StaticBias: token {int(self.tokens.max())} is not among the model's {scores.shape[-1]}")
        added = (self.alpha * self.shifts).to(scores.device, scores.dtype)
        return scores.index_add(-1, self.tokens.to(scores.device), added.expand(len(scores), -1))
