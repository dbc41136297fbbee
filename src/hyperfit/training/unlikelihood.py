"""What repeating costs: the token-level unlikelihood of Welleck et al. (2020), beside the cross-entropy."""

import torch
from torch import Tensor

SUREST = 1 - 1e-5
"""Probability above which a token to be avoided costs no more, so that its logarithm stays finite; as in their code."""


def first_times(ids: Tensor) -> Tensor:
    """bool[texts, length]: whether a token of int64[texts, length] stands nowhere before its place."""
    return ~(ids[:, :, None] == ids[:, None, :]).tril(-1).any(2)


def unlikelihood(logits: Tensor, ids: Tensor, new: Tensor, places: Tensor) -> Tensor:
    """-Σ log(1 - p(c)) over the candidates c of each position, summed over positions: an fp32 scalar, 0 or more, nats.

    Candidates at a position are the tokens that stand before the one to be predicted, each once, without that one:
    Welleck et al. (2020, Neural Text Generation with Unlikelihood Training, equation 6).

    logits: float32[positions, vocabulary] of the positions ``places``, int64[positions], which are counted text after
    text, length - 1 in each. ids: int64[texts, length]. new: ``first_times(ids)``.
    """
    predicted = ids.shape[1] - 1
    text, place = places // predicted, places % predicted
    tokens, targets = ids[text, :-1], ids[text, place + 1]
    before = torch.arange(predicted, device=ids.device) <= place[:, None]
    candidates = before & new[text, :-1] & (tokens != targets[:, None])
    likely = (logits.gather(1, tokens) - logits.logsumexp(1, keepdim=True)).exp()
    return -torch.log1p(-likely.clamp(max=SUREST)).where(candidates, 0.0).sum()
