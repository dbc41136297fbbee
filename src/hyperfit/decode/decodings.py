"""Decodings by name, as explicit generation settings in which nothing is left to a model's own defaults."""

from typing import Any

from transformers import GenerationConfig

from hyperfit.errors import UserError

DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "nucleus": {"do_sample": True, "top_p": 0.9, "temperature": 0.7, "top_k": 50},
}
"""greedy: the likeliest token each time. nucleus: the paper's baseline, top-p 0.9, temperature 0.7, top-k 50."""


def check_decoding(decoding: str, flag: str) -> None:
    """Raises UserError, naming the flag, for a decoding that is not in DECODINGS."""
    if decoding not in DECODINGS:
        raise UserError(f"{flag} {decoding}: give one of {', '.join(DECODINGS)}")


def generation_config(
    decoding: str, *, new_tokens: int, stop_at_end: bool, eos: int | None, pad: int | None
) -> GenerationConfig:
    """Settings for ``model.generate``.

    new_tokens: most tokens to add; exactly that many where ``stop_at_end`` is false, which forbids
    the end-of-text token. Raises UserError for an unknown decoding.
    """
    check_decoding(decoding, "--decoding")
    return GenerationConfig(
        **DECODINGS[decoding],
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop_at_end else new_tokens,
        eos_token_id=eos,
        pad_token_id=pad,
        use_cache=True,
    )
