"""How many contexts are continued at once: as many as fit into memory, by the model's config."""

import math
from typing import Any

import psutil
import torch

from hyperfit.generation.decodings import Decoding

SHARE = 0.5
"""Of the free memory: what is counted here is not all, and others want some too."""
MOST = 256
"""Contexts in a batch: with more, the short ones are padded to the longest, and the gain has ended."""
SCORE_BYTES = 64
"""Memory for each logit of the step that chooses a token: copies in float32, sorted values and places, float64."""


def batch_that_fits(model: Any, contexts: int, longest: int, new_tokens: int, decoding: Decoding) -> int:
    """Contexts to continue at once on the model's device, at least 1; batches of as equal a size as may be.

    longest: tokens of the longest context.
    """
    rows = int(decoding.settings.get("num_beams", 1))
    if decoding.name == "contrastive":
        rows = int(decoding.settings["top_k"])
    needs = bytes_of_text(
        model.config.get_text_config(decoder=True),
        context=longest,
        new_tokens=new_tokens,
        number_bytes=model.dtype.itemsize,
    )
    return even_batches(contexts, fitting(needs * rows, free_bytes(model.device)))


def bytes_of_text(config: Any, *, context: int, new_tokens: int, number_bytes: int) -> int:
    """Memory that one row takes while it is written: key-value cache, the step that reads the context, the scores.

    number_bytes: of one number of the model. Sliding windows are counted in full: the estimate is meant to be too
    high rather than too low.
    """
    heads = largest(config, "num_attention_heads") or 1
    width = largest(config, "head_dim") or config.hidden_size // heads
    kv_heads = largest(config, "num_key_value_heads") or heads
    inner = largest(config, "intermediate_size") or largest(config, "ffn_dim") or 4 * config.hidden_size
    cache = 2 * config.num_hidden_layers * kv_heads * width * (context + new_tokens) * number_bytes
    reading = context * (4 * config.hidden_size + 3 * inner + heads * context) * max(number_bytes, 4)
    scores = config.vocab_size * SCORE_BYTES
    return int(cache + reading + scores)


def largest(config: Any, name: str) -> int | None:
    """A size of the config, of several layers' the largest; None where it names none."""
    found = config.to_dict().get(config.attribute_map.get(name, name))
    sizes = [size for size in (found if isinstance(found, (list, tuple)) else [found]) if isinstance(size, int)]
    return max(sizes, default=None)


def fitting(needs: int, free: int) -> int:
    """How often ``needs`` bytes go into the share of ``free`` that is ours: from 1 to MOST."""
    return max(1, min(MOST, int(free * SHARE / needs)))


def even_batches(count: int, most: int) -> int:
    """The size of batches of at most ``most`` for ``count`` contexts, as few and as equal as can be; at least 1."""
    return max(1, math.ceil(count / max(1, math.ceil(count / most))))


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on the device."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    if device.type == "mps":
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return int(psutil.virtual_memory().available)
