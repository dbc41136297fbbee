"""How sharp a model's predictions are on given texts: likelihood, entropy, mass of the best tokens."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.model import evaluating


@dataclass(frozen=True)
class Sharpness:
    """Teacher-forced predictions on texts; means over the positions of each text."""

    loss: NDArray[np.float64]
    """float64[texts]: nats per token; exp of its mean is the perplexity."""
    entropy: NDArray[np.float64]
    """float64[texts]: nats, in [0, log vocabulary]."""
    top: dict[int, NDArray[np.float64]]
    """@1, @3, @5 → float64[texts]: probability of the k best tokens together, in (0, 1]."""
    choices: NDArray[np.int64]
    """int64[texts, length - 1]: the likeliest token at each position."""


def sharpness(
    model: PreTrainedModel | PeftModel,
    texts: Tensor,
    *,
    batch_size: int = 8,
    skip: int = 1,
    advance: Callable[[int], None] = lambda done: None,
) -> Sharpness:
    """Measure a model on int64[texts, length] token ids.

    Positions from ``skip`` on count (at least 1: the first token has nothing to predict it from).
    Everything is computed in fp32 from the model's logits.
    """
    sums: list[Tensor] = []
    choices: list[Tensor] = []
    device = model.get_output_embeddings().weight.device  # the rest may not be in memory
    with evaluating(model):
        for batch in texts.split(batch_size):
            ids = batch.to(device)
            logits = model(input_ids=ids, use_cache=False).logits[:, skip - 1 : -1].float()
            log_p = logits.log_softmax(-1)
            p = log_p.exp()
            best = p.topk(5, dim=-1)
            rows = [
                -log_p.gather(-1, ids[:, skip:, None]).squeeze(-1),
                -torch.special.xlogy(p, p).sum(-1),
                *(best.values[..., :k].sum(-1) for k in (1, 3, 5)),
            ]
            sums.append(torch.stack([row.cpu().double().mean(1) for row in rows]))
            choices.append(best.indices[..., 0].cpu())
            advance(len(batch))
    loss, entropy, top1, top3, top5 = torch.cat(sums, dim=1).numpy()
    return Sharpness(loss, entropy, {1: top1, 3: top3, 5: top5}, torch.cat(choices).numpy())


def top1_agreement(first: Sharpness, second: Sharpness) -> NDArray[np.float64]:
    """float64[texts]: share of positions at which two models prefer the same token, in [0, 1]."""
    return np.asarray((first.choices == second.choices).mean(axis=1), dtype=np.float64)
