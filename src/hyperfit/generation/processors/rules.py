"""What a decoding adds to ``model.generate``: its logits processors, in transformers' order, or a loop of its own."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import (
    EtaLogitsWarper,
    LogitsProcessor,
    MinPLogitsWarper,
    NoRepeatNGramLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
    TypicalLogitsWarper,
)

from hyperfit.generation.decodings import Decoding
from hyperfit.generation.processors.contrastive import ContrastiveSearch
from hyperfit.generation.processors.sampling import SeededSampling

SAMPLING = ("nucleus", "top-k", "min-p", "typical", "eta")
"""The decodings that draw; all others are deterministic."""
NO_TOKEN = torch.iinfo(torch.int64).max
"""An id that is never one of the model's."""


def penalties(decoding: Decoding, contexts: Sequence[Sequence[int]]) -> list[LogitsProcessor]:
    """What comes before a caller's own rules, for a batch of contexts padded on the left to the longest.

    The repetition penalty is not here: transformers' own leaves the padding out where it builds it itself.
    """
    if decoding.name != "no-repeat-ngram":
        return []
    longest = max(map(len, contexts))
    return [NoRepeatNGram(int(decoding.settings["no_repeat_ngram_size"]), [longest - len(ids) for ids in contexts])]


def sampling(
    decoding: Decoding,
    contexts: Sequence[Sequence[int]],
    numbers: Sequence[int],
    new_tokens: int,
    seed: int,
    device: torch.device,
) -> list[LogitsProcessor]:
    """What comes after a caller's own rules: the warpers, and the draw of a token; nothing where nothing is drawn."""
    if decoding.name not in SAMPLING:
        return []
    draws = SeededSampling(contexts, new_tokens=new_tokens, seed=seed, numbers=numbers)
    return [*warpers(decoding, device), draws]


def warpers(decoding: Decoding, device: torch.device) -> list[LogitsProcessor]:
    """What shapes the distribution of a sampling decoding.

    The classes of transformers, in the order of its own ``generate``: temperature, top-k, top-p, min-p, typical, eta.
    Those that would change nothing are left out.
    """
    given = decoding.settings
    found: list[LogitsProcessor] = []
    if (temperature := float(given["temperature"])) != 1:
        found.append(TemperatureLogitsWarper(temperature))
    if top_k := int(given.get("top_k", 0)):
        found.append(TopKLogitsWarper(top_k))
    if (top_p := given.get("top_p", 1)) < 1:
        found.append(TopPLogitsWarper(top_p))
    if (min_p := given.get("min_p", 0)) > 0:
        found.append(MinPLogitsWarper(min_p))
    if (typical_p := given.get("typical_p", 1)) < 1:
        found.append(TypicalLogitsWarper(typical_p))
    if epsilon := given.get("eta_cutoff"):
        found.append(EtaLogitsWarper(epsilon, device=str(device)))
    return found


def custom_generate(decoding: Decoding) -> ContrastiveSearch | None:
    """What ``model.generate`` gets as its loop; None for transformers' own."""
    if decoding.name != "contrastive":
        return None
    given = decoding.settings
    return ContrastiveSearch(penalty_alpha=given["penalty_alpha"], top_k=int(given["top_k"]))


class NoRepeatNGram(NoRepeatNGramLogitsProcessor):
    """Forbid a token that would complete a sequence of ``size`` tokens that context or text already has.

    As transformers has it, but for the padding, which is no part of the text: there, the end-of-text token that pads
    a short context can forbid what followed it, so that a text depends on the length of its neighbours.
    """

    def __init__(self, size: int, padding: Sequence[int]) -> None:
        """padding: how many tokens of it stand in front of each row's context."""
        super().__init__(size)
        self.padding = torch.tensor(padding)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """int64[rows, tokens], float[rows, vocabulary] → the scores, -inf where forbidden."""
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        outside = positions < self.padding.to(input_ids.device)[:, None]
        remaining: Tensor = super().__call__(input_ids.masked_fill(outside, NO_TOKEN), scores)
        return remaining
