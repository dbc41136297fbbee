"""Undoing, in the last block's output, what training added to its spread; and the controls of that."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.mechanism.layers.covariance import Moments, plain_ratio
from hyperfit.models.structure.layout import blocks_of, inner_model

Kind = Literal["keep", "remove", "random", "random-variance", "undo", "turned"]
"""How a centred state h is changed:

keep              only its part in the base's first principal directions remains
remove            its part in the added directions goes: those in which the tuned variance exceeds the base's most
random            the control of ``remove``: as many random directions go
random-variance   another: random directions that together hold as much variance go
undo              the covariance becomes the base's, each state moved as little as can be
turned            the control of ``undo``: every state moves as far, in a direction turned at random
"""


@dataclass(frozen=True)
class Edit:
    """h → mean + matrix (h - mean), at the last block's output, before the final norm."""

    kind: Kind
    amount: float
    """Directions for keep, remove and their controls; for undo and turned the share of the way, in [0, 1]."""
    mean: Tensor
    """float64[width]: the tuned model's, so that spread is edited and the shift of the mean is not."""
    matrix: Tensor
    """float64[width, width]"""
    dim: float
    """Participation ratio of the tuned model's covariance after the edit."""
    variance: float
    """Share of the tuned model's variance that is left."""
    moved: float
    """Root mean square distance by which states move, as a share of the root of the tuned variance."""


def edits(
    base: Moments, tuned: Moments, ranks: tuple[int, ...], amounts: tuple[float, ...], *, seed: int = 0
) -> list[Edit]:
    """Every kind at every rank or amount. Base and tuned: moments of the last block's output on the same texts."""
    random = _random_axes(len(base.mean), seed).to(base.mean)
    main = torch.linalg.eigh(base.covariance)[1].flip(1)
    added = torch.linalg.eigh(tuned.covariance - base.covariance)[1].flip(1)
    one = torch.eye(len(base.mean)).to(base.mean)
    found: list[Edit] = []
    for rank in ranks:
        gone = one - added[:, :rank] @ added[:, :rank].T
        share = 1 - float((gone @ tuned.covariance).trace() / tuned.covariance.trace())
        alike = max(1, round(share * len(one)))
        found += [
            _edit("keep", rank, main[:, :rank] @ main[:, :rank].T, tuned),
            _edit("remove", rank, gone, tuned),
            _edit("random", rank, one - random[:, :rank] @ random[:, :rank].T, tuned),
            _edit("random-variance", rank, one - random[:, :alike] @ random[:, :alike].T, tuned),
        ]
    move = transport(tuned.covariance, base.covariance) - one
    for amount in amounts:
        found.append(_edit("undo", amount, one + amount * move, tuned))
        found.append(_edit("turned", amount, one + amount * random @ move, tuned))
    return found


def _edit(kind: Kind, amount: float, matrix: Tensor, tuned: Moments) -> Edit:
    after = matrix @ tuned.covariance @ matrix.T
    step = matrix - torch.eye(len(matrix)).to(matrix)
    whole = float(tuned.covariance.trace())
    moved = float((step @ tuned.covariance @ step.T).trace())
    left = float(after.trace()) / whole if whole else math.nan
    return Edit(
        kind, amount, tuned.mean, matrix, plain_ratio(after), left, math.sqrt(moved / whole) if whole else math.nan
    )


def transport(start: Tensor, end: Tensor) -> Tensor:
    """float64[width, width]: the symmetric T with T start T = end, which moves centred states least.

    start, end: covariances of that shape. It is the optimal map between two Gaussians (Knott & Smith 1984):
    T = S^-½ (S^½ E S^½)^½ S^-½. Directions without spread at the start are left without.
    """
    root, inverse = _root(start), _root(start, -0.5)
    found: Tensor = inverse @ _root(root @ end @ root) @ inverse
    return found


def _root(matrix: Tensor, power: float = 0.5) -> Tensor:
    """A power of a symmetric positive semidefinite matrix; eigenvalues that are 0 up to rounding stay 0."""
    values, axes = torch.linalg.eigh((matrix + matrix.T) / 2)
    floor = float(values.max()) * len(values) * torch.finfo(values.dtype).eps
    powers = torch.where(values > floor, values.clamp(min=floor or 1.0) ** power, 0.0)
    found: Tensor = (axes * powers) @ axes.T
    return found


def _random_axes(width: int, seed: int) -> Tensor:
    """float64[width, width]: an orthogonal matrix drawn uniformly (Mezzadri 2007), the same for the same seed."""
    drawn = torch.randn(width, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    axes, upper = torch.linalg.qr(drawn)
    turned: Tensor = axes * upper.diagonal().sign()
    return turned


@contextmanager
def edited(model: PreTrainedModel | PeftModel, edit: Edit) -> Iterator[PreTrainedModel | PeftModel]:
    """The model with its last block's output edited, while the block of code runs, also while it generates."""
    kept: dict[torch.device, tuple[Tensor, Tensor]] = {}

    def hook(module: nn.Module, args: Any, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        if hidden.device not in kept:
            kept[hidden.device] = edit.mean.float().to(hidden.device), edit.matrix.float().to(hidden.device)
        mean, matrix = kept[hidden.device]
        with torch.autocast(hidden.device.type, enabled=False):
            moved = (mean + (hidden.float() - mean) @ matrix.T).to(hidden.dtype)
        return (moved, *output[1:]) if isinstance(output, tuple) else moved

    handle = blocks_of(inner_model(model))[-1].register_forward_hook(hook)
    try:
        yield model
    finally:
        handle.remove()
