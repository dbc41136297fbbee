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

from hyperfit.generation.batches.key_value_cache import roomy_cache
from hyperfit.generation.batches.size import batch_that_fits
from hyperfit.generation.decodings import Decoding, parse_decoding
from hyperfit.generation.processors.rules import custom_generate, penalties, sampling
from hyperfit.generation.processors.sampling import sample_numbers
from hyperfit.models.families import inner_model
from hyperfit.models.loading import evaluating

ONE_AT_A_TIME = (
    "--batch-invariant: one context at a time; with the embedded model on two CPU cores that was 18 times slower than "
    "300 contexts in batches"
)
"""The notice of what ``batch_invariant`` costs: ``times_as_slow`` in benchmarks/results/decode.json."""

SEARCHES = ("beam", "contrastive")
"""Decodings that try several continuations of a text; with all others, row i of each step is text i of the batch."""


def continue_contexts(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    *,
    new_tokens: int,
    decoding: str | Decoding = "greedy",
    seed: int = 0,
    batch_size: int | None = None,
    stop_at_end: bool = False,
    processors: Sequence[LogitsProcessor] = (),
    batch_invariant: bool = False,
    advance: Callable[[int], None] = lambda done: None,
) -> list[list[int]]:
    """The token ids that follow each context, in the contexts' order.

    contexts: token ids with their special tokens, of any lengths, at least one each; they are continued longest
    first, shorter ones padded on the left and masked. For several samples, give a context several times.
    decoding: as ``parse_decoding`` reads it. seed: of the sampling: a text depends on it, on its context and on how
    many equal contexts stand before it, not on the others or the batch; torch's own generator is never used.
    batch_size: None for as many as memory holds, and fewer where that proves too many. stop_at_end: end a text
    at the end-of-text token (which is not returned); otherwise that token is forbidden and each continuation has
    exactly ``new_tokens`` tokens. processors: rules of the caller's own, applied to the logits after penalties and
    before what shapes the distribution of a sampling decoding (temperature, top-p, ...). batch_invariant: one context
    at a time: in batches the rounding of a logit depends on the batch's shape, in bf16 enough to change the likeliest
    token. advance: called with the number of texts done.

    Raises UserError for a decoding that there is not.
    """
    decoding = parse_decoding(decoding) if isinstance(decoding, str) else decoding
    inner = inner_model(model)
    eos, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = generation_config(decoding, new_tokens=new_tokens, stop_at_end=stop_at_end, eos=eos, pad=pad)
    numbers = sample_numbers(contexts)

    def write(places: list[int]) -> list[list[int]]:
        batch = [contexts[place] for place in places]
        ids, mask = left_pad(batch, pad if pad is not None else 0)
        chain = [
            *penalties(decoding, batch),
            *processors,
            *sampling(decoding, batch, [numbers[place] for place in places], new_tokens, seed, inner.device),
        ]
        generate: Any = inner.generate
        output = generate(
            input_ids=ids.to(inner.device),
            attention_mask=mask.to(inner.device),
            past_key_values=roomy_cache(inner.config, ids.shape[1] + new_tokens),
            generation_config=config,
            logits_processor=LogitsProcessorList(chain),
            custom_generate=custom_generate(decoding),
        )
        rows = output[:, ids.shape[1] :].tolist()
        return [row[: row.index(eos)] if stop_at_end and eos in row else row for row in rows]

    size = 1 if batch_invariant else batch_size
    if size is None:
        longest = max(map(len, contexts), default=0)
        size = batch_that_fits(inner, len(contexts), longest, new_tokens, decoding)
    order = sorted(range(len(contexts)), key=lambda place: -len(contexts[place]))
    waiting = [order[start : start + size] for start in range(0, len(order), size)]
    written: dict[int, list[int]] = {}
    with evaluating(inner), own_defaults_aside(inner):
        while waiting:
            places = waiting.pop(0)
            before = [dict(vars(processor)) for processor in processors]
            try:
                written.update(zip(places, write(places), strict=True))
            except torch.OutOfMemoryError:
                if batch_size is not None or len(places) == 1:
                    raise
                for processor, state in zip(processors, before, strict=True):
                    vars(processor).update(state)  # what it has counted will come again
                half = len(places) // 2
                waiting[:0] = places[:half], places[half:]
            else:
                advance(len(places))
    return [written[place] for place in range(len(contexts))]


def generation_config(
    decoding: Decoding, *, new_tokens: int, stop_at_end: bool, eos: int | None, pad: int | None
) -> GenerationConfig:
    """Settings for ``model.generate``, with nothing in them that draws: ``SeededSampling`` does that.

    new_tokens: most tokens to add; exactly that many where ``stop_at_end`` is false, which forbids the
    end-of-text token. The n-grams are not here: see ``NoRepeatNGram``.
    """
    own = decoding.settings if decoding.name in ("beam", "repetition-penalty") else {}
    return GenerationConfig(
        **{"num_beams": 1, **own},
        do_sample=False,
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop_at_end else new_tokens,
        eos_token_id=eos,
        pad_token_id=pad,
        use_cache=True,
    )


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
