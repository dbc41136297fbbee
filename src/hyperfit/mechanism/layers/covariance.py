"""Covariance of hidden states, streamed in double precision, and the dimensions read from its spectrum."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

Batches = Callable[[], Iterator[Tensor]]
"""Starts a pass over float64[batch, positions, width] states; each text is one row, all of one length."""


@dataclass(frozen=True)
class Moments:
    """Mean and covariance of states, and unbiased estimates of what the participation ratio is made of."""

    texts: int
    mean: Tensor
    """float64[width]"""
    covariance: Tensor
    """float64[width, width]: about the mean, divided by the number of tokens."""
    squared_trace: float
    """Unbiased estimate of tr(Σ)²; NaN for fewer than 4 texts."""
    trace_of_square: float
    """Unbiased estimate of tr(Σ²); NaN for fewer than 4 texts."""


def moments(batches: Batches) -> Moments:
    """Two passes: the mean, then everything about it. Memory: two width² matrices, whatever the number of tokens.

    The unbiased estimates are U-statistics: tr(Σ²) and tr(Σ)² are sums of products of at most four expectations
    (of M = E[xxᵀ] and m = E[x] within a text), and each product is averaged over all choices of *different* texts.
    They are unbiased for any distribution if texts are independent; tokens of one text need not be, which formulas
    that count tokens as independent take for granted. With texts of one token they are those of Himeno & Yamada
    (2014, J. Multivariate Analysis 130) and, up to the sampling of neurons, of Chun et al. (2026, arXiv 2509.26560).
    """
    total, tokens, texts = torch.zeros(()), 0, 0
    for batch in batches():
        total = total.to(batch) + batch.sum((0, 1))
        tokens, texts = tokens + batch.shape[0] * batch.shape[1], texts + len(batch)
    mean = total / tokens
    second = torch.zeros(len(mean), len(mean), dtype=mean.dtype, device=mean.device)
    between = torch.zeros_like(second)
    sums = torch.zeros(5, dtype=mean.dtype, device=mean.device)
    for batch in batches():
        centred = batch - mean
        flat, positions = centred.flatten(0, 1), batch.shape[1]
        second += flat.T @ flat / positions  # the sum over texts of M, about the common mean
        m = centred.mean(1)
        between += m.T @ m
        size = (centred @ centred.mT).square().sum((1, 2)) / positions**2  # |M|², by way of the smaller Gram matrix
        along = (centred @ m[..., None]).square().mean((1, 2))  # mᵀMm
        trace, length = centred.square().sum(2).mean(1), m.square().sum(1)
        sums += torch.stack([size, along, length.square(), trace.square(), trace * length]).sum(1)
    squared_trace, trace_of_square = _unbiased(texts, second, between, *sums.tolist())
    return Moments(texts, mean, second / texts, squared_trace, trace_of_square)


def _unbiased(
    n: int, second: Tensor, between: Tensor, size: float, along: float, fourth: float, squares: float, mixed: float
) -> tuple[float, float]:
    """(tr(Σ)², tr(Σ²)) from sums over n texts about the grand mean, where the sum of the texts' means is 0.

    Sums over different texts follow from sums over all by inclusion and exclusion; every term with a text's mean
    on its own vanishes.
    """
    if n < 4:
        return math.nan, math.nan
    trace, spread = float(second.trace()), float(between.trace())
    two = n * (n - 1)
    three, four = two * (n - 2), two * (n - 2) * (n - 3)
    means = (spread**2 + 2 * float(between.square().sum()) - 6 * fourth) / four
    squared_trace = (trace**2 - squares) / two - 2 * (2 * mixed - trace * spread) / three + means
    pairs = float(second.square().sum()) - size
    trace_of_square = pairs / two - 2 * (2 * along - float((second * between).sum())) / three + means
    return squared_trace, trace_of_square


def cross_covariance(pairs: Iterable[tuple[Tensor, Tensor]], first: Moments, second: Moments) -> Tensor:
    """float64[width, width]: mean of (x - mean)(y - mean)ᵀ over paired states."""
    total, tokens = torch.zeros_like(first.covariance), 0
    for x, y in pairs:
        total += (x - first.mean).flatten(0, 1).T @ (y - second.mean).flatten(0, 1)
        tokens += x.shape[0] * x.shape[1]
    return total / tokens


def participation_ratio(squared_trace: float, trace_of_square: float) -> float:
    """(Σλ)² / Σλ² of a covariance's eigenvalues: from 1 (one direction) to the width (a ball).

    NaN where there is no spread, or where an unbiased estimate of Σλ² came out at 0 or below. From a sample of
    n tokens at most n - 1, and too low for few; from the unbiased estimates free of that bias to first order, with
    no bound. Source: Gao et al. (2017), as Li et al. (2026) are taken to use it.
    """
    return squared_trace / trace_of_square if trace_of_square > 0 else math.nan


def plain_ratio(covariance: Tensor) -> float:
    """The participation ratio of float64[width, width], without correction."""
    return participation_ratio(float(covariance.trace()) ** 2, float(covariance.square().sum()))


def effective_rank(eigenvalues: Tensor) -> float:
    """How many directions a spectrum spreads over: exp of the entropy of its shares, in [1, width].

    eigenvalues: float64[width], of a covariance. NaN where there is no spread. Source: Roy & Vetterli (2007), whose
    singular values are here the covariance's.
    """
    share = eigenvalues.clamp(min=0) / eigenvalues.clamp(min=0).sum()
    return math.exp(-float(torch.special.xlogy(share, share).sum()))


def linear_cka(cross: Tensor, first: Tensor, second: Tensor) -> float:
    """|Σxy|² / (|Σxx| |Σyy|), Frobenius norms: in [0, 1], 1 for states equal up to rotation and one scale.

    NaN where a side has no spread. Source: Kornblith et al. (2019), written with covariances.
    """
    scale = float(first.norm() * second.norm())
    return float(cross.square().sum()) / scale if scale > 0 else math.nan
