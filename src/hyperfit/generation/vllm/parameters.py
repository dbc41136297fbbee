"""Which decodings vLLM does as transformers does, and what they are called there."""

from typing import Any

from hyperfit.generation.decodings import Decoding

HOTTEST = 2.0
"""The highest temperature that vLLM takes."""
BY_VLLM = ("greedy", "nucleus", "top-k", "min-p", "repetition-penalty")
"""The decodings of which there is one in vLLM that computes the same from the same logits."""


def vllm_parameters(decoding: Decoding) -> dict[str, Any] | None:
    """The decoding as arguments of vLLM's ``SamplingParams``; None where vLLM does not do the same.

    Both count context and text for the repetition penalty, and divide by the temperature before they cut to the top-k,
    of which the top-p is taken. Outside vLLM's range are a temperature above 2 and a ``top_p`` of 0.
    """
    given = decoding.settings
    if decoding.name not in BY_VLLM or given.get("temperature", 0) > HOTTEST or given.get("top_p", 1) == 0:
        return None
    whole = {"top_k": int(given["top_k"])} if "top_k" in given else {}
    return {"temperature": 0.0, **given, **whole}
