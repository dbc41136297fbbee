"""Continue contexts in batches, left-padded, with nothing taken over from the model's own settings."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from hyperfit.decode.decodings import generation_config
from hyperfit.model import evaluating, inner_model


def continue_contexts(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    decoding: str = "greedy",
    seed: int = 0,
    batch_size: int = 32,
    stop_at_end: bool = False,
    processors: Sequence[LogitsProcessor] = (),
    advance: Callable[[int], None] = lambda done: None,
) -> list[list[int]]:
    """The token ids that follow each context, in the contexts' order.

    contexts: token ids with their special tokens, of any lengths; shorter ones are padded on the left
    and masked. seed: of the sampling; torch's own generator is left as it was. stop_at_end: end a text
    at the end-of-text token (which is not returned); otherwise that token is forbidden and each
    continuation has exactly ``new_tokens`` tokens. processors: change the logits before the decoding
    sees them, in this order. advance: called with the number of texts done.
    """
    inner = inner_model(model)
    generate: Any = inner.generate
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = generation_config(decoding, new_tokens=new_tokens, stop_at_end=stop_at_end, eos=eos, pad=pad)
    continuations: list[list[int]] = []
    with evaluating(inner), own_defaults_aside(inner), seeded(seed, inner.device):
        for start in range(0, len(contexts), batch_size):
            batch = contexts[start : start + batch_size]
            ids, mask = left_pad(batch, pad if pad is not None else 0)
            output = generate(
                input_ids=ids.to(inner.device),
                attention_mask=mask.to(inner.device),
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
            )
            for row in output[:, ids.shape[1] :].tolist():
                continuations.append(row[: row.index(eos)] if stop_at_end and eos in row else row)
            advance(len(batch))
    return continuations


def continuation_text(
    tokenizer: PreTrainedTokenizerBase,
    context: Sequence[int],
    continuation: Sequence[int],
    *,
    skip_special: bool = False,
) -> str:
    """The text that ``continuation`` adds to ``context``.

    Decoded alone, a continuation loses the space in front of its first word with many tokenizers (SentencePiece).
    """
    start = str(tokenizer.decode(list(context), skip_special_tokens=skip_special))
    whole = str(tokenizer.decode([*context, *continuation], skip_special_tokens=skip_special))
    if whole.startswith(start):
        return whole[len(start) :]
    return str(tokenizer.decode(list(continuation), skip_special_tokens=skip_special))


def left_pad(rows: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(int64[rows, longest] ids, int64[rows, longest] mask with 1 on real tokens), padding first."""
    longest = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (longest - len(row)) + list(row) for row in rows], dtype=torch.int64)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows], dtype=torch.int64)
    return ids, mask


@contextmanager
def own_defaults_aside(model: PreTrainedModel) -> Iterator[None]:
    """Hide the model's generation_config: ``generate`` fills what a given config leaves open from it."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Torch's random numbers from ``seed`` inside the block; the generators as they were after it."""
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices=devices, device_type=device.type if devices else "cuda"):
        torch.manual_seed(seed)
        yield
