"""How alike two models predict: the same choice, the same candidates, the same order, the same probabilities."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.metrics.predictions.predict import (
    Bound,
    Floats,
    Model,
    Predictions,
    Reader,
    Texts,
    counted,
    pieces,
    text_means,
)
from hyperfit.models.loading import evaluating

OVERLAPS = (5, 10)
"""Of how many best tokens the overlap is taken."""
RANKED = 100
"""The first model's best tokens whose order is compared."""


@dataclass(frozen=True)
class Agreement:
    """Two models on the same positions, each float64[texts]: means over a text's positions, NaN for a text without."""

    top1: Floats
    """Share of positions with the same likeliest token, in [0, 1]; Carlsson et al. (2025) call it top-1 similarity."""
    overlap: dict[int, Floats]
    """k → share of the k best tokens of one that are among the k best of the other, |A ∩ B| / k, in [0, 1]."""
    rank_correlation: Floats
    """Spearman's ρ of the two models' probabilities over the first one's best tokens, in [-1, 1]; NaN at a position
    where either gives all of them one probability."""
    kl: Floats
    """KL(first ‖ second) = Σ p log(p / q) in nats, 0 or more; infinite where q rules out what p expects."""
    reverse_kl: Floats
    """KL(second ‖ first)"""
    js: Floats
    """Jensen–Shannon divergence in nats: symmetric, in [0, ln 2]; Lin (1991)."""

    def estimates(self) -> dict[str, Estimate]:
        """Every measure over the texts, with its n and interval."""
        return {
            "top1_agreement": estimate(self.top1),
            **{f"top{k}_overlap": estimate(share) for k, share in self.overlap.items()},
            **{name: estimate(getattr(self, name)) for name in ("rank_correlation", "kl", "reverse_kl", "js")},
        }


def predict_both(
    first: Model | Reader,
    second: Model | Reader,
    texts: Texts,
    *,
    skip: Bound = 1,
    overlaps: tuple[int, ...] = OVERLAPS,
    ranked: int | None = RANKED,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> tuple[Predictions, Predictions, Agreement]:
    """Read the same texts with two models: ``predict`` of each at every token, and their agreement from ``skip`` on.

    A base model and its adapter are ``predict_both(without_adapter(model), model, texts)``. Both are read side by
    side, once, some positions at a time, and no position's probabilities are kept.

    ranked: over how many of the first model's best tokens order is compared; None: over the whole vocabulary, which
    is far slower and tells mostly of tokens that neither model would ever take. The best tokens of *both* would be
    no neutral choice: those that only one model favours are high in one and low in the other by construction, and
    push the correlation below zero. Raises UserError where the vocabularies differ.
    """
    readers = [Reader.of(first), Reader.of(second)]
    lengths = [len(text) for text in texts]
    wanted = counted(lengths, 1, None)
    one, two = Predictions.unread(wanted.shape), Predictions.unread(wanted.shape)
    order, kl, reverse, js, *shares = (np.full(wanted.shape, np.nan) for _ in range(4 + len(overlaps)))
    with evaluating(readers[0].model), evaluating(readers[1].model):
        for place, targets, logits in pieces(readers, texts, wanted, batch_size, advance):
            check_vocabularies(*logits)
            log_p, log_q = (each.to(targets.device).log_softmax(-1) for each in logits)
            one.put(place, targets, log_p)
            two.put(place, targets, log_q)
            tokens = log_p.shape[-1]
            compared = tokens if ranked is None else min(ranked, tokens)
            best, others = log_p.topk(max(compared, *overlaps)), log_q.topk(max(overlaps)).indices
            for k, share in zip(overlaps, shares, strict=True):
                share[place] = overlap(best.indices[:, :k], others[:, :k]).cpu()
            order[place] = spearman(best.values[:, :compared], log_q.gather(-1, best.indices[:, :compared])).cpu()
            p, q, middle = log_p.exp(), log_q.exp(), torch.logaddexp(log_p, log_q).sub_(np.log(2))
            kl[place] = divergence(p, log_p, log_q).cpu()
            reverse[place] = divergence(q, log_q, log_p).cpu()
            js[place] = (divergence(p, log_p, middle) + divergence(q, log_q, middle)).cpu() / 2
    inside = counted(lengths, skip, None)

    def mean(values: Floats) -> Floats:
        return text_means(np.where(inside, values, np.nan))

    agreement = Agreement(
        top1_agreement(one.part(skip), two),
        {k: mean(share) for k, share in zip(overlaps, shares, strict=True)},
        *map(mean, (order, kl, reverse, js)),
    )
    return one, two, agreement


def top1_agreement(first: Predictions, second: Predictions) -> Floats:
    """float64[texts]: share of positions at which two models prefer the same token, in [0, 1].

    For models read one after the other; NaN for a text without a position that both were read at.
    """
    both = (first.choices >= 0) & (second.choices >= 0)
    return text_means(np.where(both, first.choices == second.choices, np.nan))


def overlap(first: Tensor, second: Tensor) -> Tensor:
    """float32[positions]: share of k different tokens, int64[positions, k], that both have in common."""
    return (first[:, :, None] == second[:, None, :]).sum((1, 2)).float() / first.shape[-1]


def spearman(first: Tensor, second: Tensor) -> Tensor:
    """float32[positions]: rank correlation of each row of float[positions, values]; NaN where a row is constant."""
    one, two = (rank - rank.mean(-1, keepdim=True) for rank in (ranks(first), ranks(second)))
    size = one.square().sum(-1) * two.square().sum(-1)
    return (one * two).sum(-1) / size.sqrt()


def ranks(values: Tensor) -> Tensor:
    """float32[positions, values]: ranks along each row, from 1; equal values share the mean of their ranks."""
    values = values.contiguous()
    ordered = values.sort(-1).values
    below, up_to = (torch.searchsorted(ordered, values, right=right) for right in (False, True))
    return (below + 1 + up_to).float() / 2


def divergence(p: Tensor, log_p: Tensor, log_q: Tensor) -> Tensor:
    """float32[positions]: Σ p log(p / q) in nats, of p and the logarithms of both, float32[positions, vocabulary]."""
    terms = (log_p - log_q).masked_fill_(p == 0, 0).mul_(p)
    return terms.sum(-1).clamp_min(0)  # of equal distributions, rounding may leave -1e-8


def check_vocabularies(first: Tensor, second: Tensor) -> None:
    """Raises UserError for logits over vocabularies of two sizes."""
    sizes = first.shape[-1], second.shape[-1]
    if sizes[0] != sizes[1]:
        raise UserError(
            f"the models' vocabularies have {sizes[0]} and {sizes[1]} tokens; compare models with one tokenizer"
        )
