"""Continue contexts in batches, left-padded; of the model's own settings only the ends of text are taken over."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

from hyperfit.console import partly
from hyperfit.data.characters import without_cut_end
from hyperfit.generation.batches.key_value_cache import roomy_cache
from hyperfit.generation.batches.size import batch_that_fits
from hyperfit.generation.decodings import Decoding, parse_decoding
from hyperfit.generation.processors.rules import custom_generate, penalties, sampling
from hyperfit.generation.processors.sampling import sample_numbers
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.ends import end_tokens
from hyperfit.models.structure.layout import inner_model

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
    at any of ``end_tokens`` (which is not returned); otherwise these are forbidden and each continuation has exactly
    ``new_tokens`` tokens. processors: rules of the caller's own, applied to the logits after penalties and before what
    shapes the distribution of a sampling decoding (temperature, top-p, ...). batch_invariant: one context at a time:
    in batches the rounding of a logit depends on the batch's shape, in bf16 enough to change the likeliest
    token. advance: called with the number of texts done.

    Raises UserError for a decoding that there is not.
    """
    decoding = parse_decoding(decoding) if isinstance(decoding, str) else decoding
    inner = inner_model(model)
    writer = BatchWriter(
        model=inner,
        ends=end_tokens(inner, tokenizer),
        pad=tokenizer.pad_token_id,
        decoding=decoding,
        new_tokens=new_tokens,
        seed=seed,
        stop_at_end=stop_at_end,
        processors=processors,
    )
    numbers = sample_numbers(contexts)
    size = 1 if batch_invariant else batch_size
    if size is None:
        longest = max(map(len, contexts), default=0)
        size = batch_that_fits(inner, len(contexts), longest, new_tokens, decoding)

    def write(places: list[int]) -> list[list[int]]:
        return writer([contexts[place] for place in places], [numbers[place] for place in places])

    with evaluating(inner), own_defaults_aside(inner):
        written = write_batches(
            longest_first(contexts, size), write, processors, halve=batch_size is None, advance=advance
        )
    return [written[place] for place in range(len(contexts))]


@dataclass(frozen=True, kw_only=True)
class BatchWriter:
    """What is the same for every batch; called with one, its continuations."""

    model: PreTrainedModel
    ends: list[int]
    """Tokens that end a text."""
    pad: int | None
    decoding: Decoding
    new_tokens: int
    seed: int
    stop_at_end: bool
    processors: Sequence[LogitsProcessor]
    """The caller's own rules."""

    def __call__(self, contexts: Sequence[Sequence[int]], numbers: Sequence[int]) -> list[list[int]]:
        """The token ids that follow each context. numbers: as ``SeededSampling`` takes them."""
        ids, mask = left_pad(contexts, self.pad if self.pad is not None else 0)
        generate: Any = self.model.generate
        output = generate(
            input_ids=ids.to(self.model.device),
            attention_mask=mask.to(self.model.device),
            **self.room(ids.shape[1] + self.new_tokens),
            generation_config=generation_config(
                self.decoding, new_tokens=self.new_tokens, stop_at_end=self.stop_at_end, ends=self.ends, pad=self.pad
            ),
            logits_processor=LogitsProcessorList(self.rules(contexts, numbers)),
            custom_generate=custom_generate(self.decoding),
        )
        return [self.until_end(row) for row in output[:, ids.shape[1] :].tolist()]

    def room(self, tokens: int) -> dict[str, Any]:
        """The key-value cache with room for so many tokens, as an argument; none for a model that keeps another."""
        model: Any = self.model
        known = "past_key_values" in inspect.signature(model.forward).parameters
        if not known or not model._supports_default_dynamic_cache():
            return {}
        return {"past_key_values": roomy_cache(self.model.config, tokens)}

    def rules(self, contexts: Sequence[Sequence[int]], numbers: Sequence[int]) -> list[LogitsProcessor]:
        """All that acts on the logits of a batch, in order."""
        return [
            *penalties(self.decoding, contexts),
            *self.processors,
            *sampling(self.decoding, contexts, numbers, self.new_tokens, self.seed, self.model.device),
            Steps(len(contexts), self.new_tokens),
        ]

    def until_end(self, text: list[int]) -> list[int]:
        """The text up to where the model ended it; what follows there is padding."""
        ends = (place for place, token in enumerate(text) if token in self.ends)
        return text[: next(ends, len(text))] if self.stop_at_end else text


class Steps(LogitsProcessor):
    """Changes nothing: says after each token how much of a batch is written, for whoever waits."""

    def __init__(self, texts: int, new_tokens: int) -> None:
        self.texts, self.new_tokens, self.seen = texts, new_tokens, 0

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores as they are."""
        partly(self.texts * min(self.seen / self.new_tokens, 1))
        self.seen += 1
        return scores


def longest_first(contexts: Sequence[Sequence[int]], size: int) -> list[list[int]]:
    """The places of the contexts in batches of ``size``, so that as little as may be is padded."""
    order = sorted(range(len(contexts)), key=lambda place: -len(contexts[place]))
    return [order[start : start + size] for start in range(0, len(order), size)]


def write_batches(
    batches: Sequence[list[int]],
    write: Callable[[list[int]], list[list[int]]],
    processors: Sequence[LogitsProcessor],
    *,
    halve: bool,
    advance: Callable[[int], None],
) -> dict[int, list[int]]:
    """What ``write`` makes of each batch of places, by place.

    halve: a batch for which memory does not do is tried again as two halves, with the processors as they were before.
    """
    waiting = list(batches)
    written: dict[int, list[int]] = {}
    while waiting:
        places = waiting.pop(0)
        before = [dict(vars(processor)) for processor in processors]
        try:
            written.update(zip(places, write(places), strict=True))
        except torch.OutOfMemoryError:
            if not halve or len(places) == 1:
                raise
            for processor, state in zip(processors, before, strict=True):
                vars(processor).update(state)  # what it has counted will come again
            half = len(places) // 2
            waiting[:0] = places[:half], places[half:]
        else:
            advance(len(places))
    return written


def generation_config(
    decoding: Decoding, *, new_tokens: int, stop_at_end: bool, ends: list[int], pad: int | None
) -> GenerationConfig:
    """Settings for ``model.generate``, with nothing in them that draws: ``SeededSampling`` does that.

    new_tokens: most tokens to add; exactly that many where ``stop_at_end`` is false, which forbids the
    ``ends``. The n-grams are not here: see ``NoRepeatNGram``.
    """
    own = decoding.settings if decoding.name in ("beam", "repetition-penalty") else {}
    return GenerationConfig(
        **{"num_beams": 1, **own},
        do_sample=False,
        max_new_tokens=new_tokens,
        min_new_tokens=None if stop_at_end else new_tokens,
        eos_token_id=ends or None,
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
    """The text that ``continuation`` adds to ``context``, in whole characters.

    Decoded alone, a continuation loses the space in front of its first word with many tokenizers (SentencePiece). A
    character that both share is the continuation's; one that the continuation does not finish is left out.
    """

    def text(ids: Sequence[int]) -> str:
        return str(tokenizer.decode(list(ids), skip_special_tokens=skip_special))

    start, whole = text(context), text([*context, *continuation])
    for before in (start, without_cut_end(start)):
        if whole.startswith(before):
            return without_cut_end(whole[len(before) :])
    return without_cut_end(text(continuation))


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
