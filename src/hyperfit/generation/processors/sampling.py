"""Sampling in which a text depends on its seed, its context and its number, and on nothing beside it in a batch."""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor


class SeededSampling(LogitsProcessor):
    """Draw each row's next token, and leave it as the only one possible.

    Give it last in ``logits_processor`` of ``model.generate``, after the warpers that shape the distribution, with
    ``do_sample=False``: the token is drawn here, by inverting the distribution function at one uniform number per
    row and step. Those numbers come from ``uniform_numbers``, so the same context gets the same text wherever it
    stands in a batch and whatever stands beside it, up to the rounding of its logits.
    """

    def __init__(
        self,
        contexts: Sequence[Sequence[int]],
        *,
        new_tokens: int,
        seed: int = 0,
        numbers: Sequence[int] | None = None,
    ) -> None:
        """contexts: token ids of the rows, without padding; ``generate`` must get them padded to the longest, no more.

        new_tokens: most tokens of a text. numbers: each text's number among those of the same context; None: counted.
        """
        numbers = sample_numbers(contexts) if numbers is None else numbers
        self.width = max(map(len, contexts))
        self.uniform = torch.from_numpy(
            np.stack(
                [
                    uniform_numbers(context, new_tokens, seed=seed, number=number)
                    for context, number in zip(contexts, numbers, strict=True)
                ]
            )
        )

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores float[rows, vocabulary] → the same shape: 0 for the token drawn, -inf for all others.

        Raises ValueError where rows or step are not those it was made for.
        """
        step = input_ids.shape[1] - self.width
        if len(input_ids) != len(self.uniform) or not 0 <= step < self.uniform.shape[1]:
            raise ValueError(
                f"SeededSampling was made for {len(self.uniform)} contexts padded to {self.width} tokens and "
                f"{self.uniform.shape[1]} new ones; it was called with {len(input_ids)} rows of {input_ids.shape[1]}"
            )
        drawn = draw(scores, self.uniform[:, step])
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn[:, None], 0.0)


def draw(scores: Tensor, uniform: Tensor) -> Tensor:
    """int64[rows]: tokens with probabilities softmax(scores[rows, vocabulary]), one for each number of uniform[rows].

    uniform: float64, 0 or more, below 1. The token drawn is the first at which the distribution function, over
    tokens in the order of their ids, exceeds the number; never one of probability 0.
    """
    # float64: summed in float32, a vocabulary of 100,000 tokens is off by about as much as its rare tokens have.
    # Devices without it (MPS) lend the work to the CPU.
    device = torch.device("cpu") if scores.device.type == "mps" else scores.device
    cumulated = scores.to(device).double().softmax(-1).cumsum(-1)
    total = cumulated[:, -1:]
    below = torch.nextafter(total, torch.zeros_like(total))  # where rounding would take the last number to the total
    target = torch.minimum(uniform.to(device)[:, None] * total, below)
    return torch.searchsorted(cumulated, target, right=True)[:, 0].to(scores.device)


def uniform_numbers(context: Sequence[int], count: int, *, seed: int, number: int) -> NDArray[np.float64]:
    """float64[count] in [0, 1): the random numbers of one text, the same on every machine; fewer are the first of more.

    Philox (Salmon et al., SC 2011) with a digest of seed, number and the context's token ids as its key.
    """
    key = np.frombuffer(text_key(context, seed=seed, number=number), dtype="<u8")
    bits = np.random.Philox(key=key.astype(np.uint64)).random_raw(count)
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def text_key(context: Sequence[int], *, seed: int, number: int) -> bytes:
    """16 bytes that belong to one text's sampling: a digest of seed, number and the context's token ids."""
    spelled = " ".join(map(str, (seed, number, *context)))
    return blake2b(spelled.encode(), digest_size=16).digest()


def sample_numbers(contexts: Sequence[Sequence[int]]) -> list[int]:
    """For each context, how many equal ones stand before it: the number of its text among those of one context."""
    seen: dict[tuple[int, ...], int] = {}
    numbers = []
    for context in map(tuple, contexts):
        numbers.append(seen.get(context, 0))
        seen[context] = numbers[-1] + 1
    return numbers
