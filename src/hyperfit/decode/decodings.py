"""Decodings by name, as explicit generation settings in which nothing is left to a model's own defaults."""

from typing import TYPE_CHECKING, Any

from hyperfit.errors import UserError

if TYPE_CHECKING:
    from transformers import GenerationConfig

DECODINGS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "nucleus": {"do_sample": True, "top_p": 0.9, "temperature": 0.7, "top_k": 50},
    "nucleus:top_p=1,temperature=1,top_k=0": {"do_sample": True, "top_p": 1.0, "temperature": 1.0, "top_k": 0},
}
"""greedy: the likeliest token each time. nucleus: the paper's baseline, top-p 0.9, temperature 0.7, top-k 50."""


def unknown_decodings(decodings: tuple[str, ...], flag: str) -> list[str]:
    """A problem for each name that is not in DECODINGS."""
    return [f"{flag} {name}: give one of {', '.join(DECODINGS)}" for name in decodings if name not in DECODINGS]


def generation_config(
    decoding: str, *, new_tokens: int, stop_at_end: bool, eos: int | None, pad: int | None
) -> "GenerationConfig":
    """Settings for ``model.generate``.

    new_tokens: most tokens to add; exactly that many where ``stop_at_end`` is false, which forbids
    the end-of-text token. Raises UserError for an unknown decoding.
    """
    from transformers import GenerationConfig

    if problems := unknown_decodings((decoding,), "--decoding"):
        raise UserError(*problems)
    return GenerationConfig(
        **DECODINGS[decoding],
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop_at_end else new_tokens,
        eos_token_id=eos,
        pad_token_id=pad,
        use_cache=True,
    )
