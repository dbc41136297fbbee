"""The least loss that sequences allow: where several begin alike, how each goes on cannot be known."""

import torch
from torch import Tensor


def least_loss(rows: Tensor, learned: Tensor | None = None) -> float:
    """Mean cross-entropy, nats a token, below which no model can come; 0 where each token follows from those before.

    rows: int64[samples, length]. learned: bool[samples, length], the tokens that the loss is on; None: all but the
    first of each. What is best of all to expect of a token is its share among those that stand behind the same tokens,
    so that the cross-entropy is at least the entropy of these shares (Gibbs' inequality). Of n sequences of T tokens
    that have nothing but their first token in common it is ln n / (T - 1).
    """
    counts = torch.ones_like(rows, dtype=torch.bool) if learned is None else learned
    predicted = int(counts[:, 1:].sum())
    total, alike = 0.0, rows[:, 0].unique(return_inverse=True)[1]
    for place in range(1, rows.shape[1]):
        several = alike.bincount()[alike] > 1  # a sequence that is like no other so far stays so
        if not several.any():
            break
        rows, counts, alike = rows[several], counts[several], alike[several]
        _, longer = torch.stack([alike, rows[:, place]]).unique(dim=1, return_inverse=True)
        of_group, of_token = (torch.bincount(group, counts[:, place].double()) for group in (alike, longer))
        share = of_token[longer] / of_group[alike]
        total -= float(share[counts[:, place]].log().sum())
        alike = longer
    return total / predicted
