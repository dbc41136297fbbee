"""Whether a model writes after its export what it wrote before: greedy texts compared, and each choice along them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.console import progress
from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.models.loading import evaluating

KEPT = 10
"""Likeliest tokens of each place that are kept."""
LEAST_SAME = 0.5
"""Share of equal choices below which what was exported is another model: rounding changes a few in a hundred."""


@dataclass(frozen=True)
class Written:
    """What a model writes after contexts, and what it finds likeliest along given texts."""

    texts: list[list[int]]
    """Its greedy continuations, each of equally many tokens."""
    likeliest: Tensor
    """int64[texts, tokens, KEPT]: what the model finds likeliest at each token of the given texts, best first."""
    log_probabilities: Tensor
    """float32[texts, tokens, KEPT] of them, in nats."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Where a text first differs, and how near the model was to it before."""

    context: int
    """Which context, from 0."""
    token: int
    """Which token of the continuation, from 0."""
    before: int
    """The token that was written before."""
    after: int
    """And after."""
    gap: float
    """Log-probability of the likeliest token less that of the second, before; nats, 0 or more."""
    rank: int | None
    """Place of the new token among the likeliest before; 2 is the second. None: not among the first KEPT."""


@dataclass(frozen=True, kw_only=True)
class Verification:
    """How texts and choices before and after an export compare."""

    contexts: int
    new_tokens: int
    """Tokens of every text."""
    same_texts: int
    """Contexts that are continued alike, token by token."""
    same_choices: int
    """Tokens of the texts of before at which both find the same token likeliest."""
    differences: tuple[Difference, ...]
    """The first one of each text that differs."""

    @property
    def choices(self) -> int:
        """Tokens of all texts."""
        return self.contexts * self.new_tokens

    @property
    def share(self) -> float:
        """Of equal choices, 0 to 1."""
        return self.same_choices / self.choices


def observe(
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    *,
    what: str,
    new_tokens: int,
    batch_size: int | None = None,
    along: Sequence[Sequence[int]] | None = None,
) -> Written:
    """The model's greedy texts, and its likeliest tokens along the texts ``along``; None: along its own.

    what: the model is, for whoever waits.
    """
    with progress(f"{what}, texts", len(contexts)) as advance:
        texts = continue_contexts(
            model, tokenizer, contexts, new_tokens=new_tokens, batch_size=batch_size, advance=advance
        )
    with evaluating(model), progress(f"{what}, choices", len(contexts)) as advance:
        found = []
        for context, text in zip(contexts, texts if along is None else along, strict=True):
            found.append(likeliest(model, context, text))
            advance(1)
    return Written(texts, torch.stack([tokens for tokens, _ in found]), torch.stack([logs for _, logs in found]))


def likeliest(model: PreTrainedModel | PeftModel, context: Sequence[int], text: Sequence[int]) -> tuple[Tensor, Tensor]:
    """(int64[tokens, KEPT], float32[tokens, KEPT]): the likeliest tokens at each token of a text, and how likely."""
    read: Any = model
    ids = torch.tensor([[*context, *text]], device=model.device)
    logits = read(input_ids=ids, use_cache=False).logits[0, len(context) - 1 : -1]
    logs, tokens = logits.float().log_softmax(-1).topk(KEPT)
    return tokens.cpu(), logs.cpu()


def compare(before: Written, after: Written) -> Verification:
    """Both models' texts, and their choices along the texts of before."""
    pairs = list(zip(before.texts, after.texts, strict=True))
    firsts = [first_difference(one, other) for one, other in pairs]
    return Verification(
        contexts=len(pairs),
        new_tokens=len(before.texts[0]),
        same_texts=firsts.count(None),
        same_choices=int((before.likeliest[..., 0] == after.likeliest[..., 0]).sum()),
        differences=tuple(
            Difference(
                context=place,
                token=first,
                before=before.texts[place][first],
                after=after.texts[place][first],
                gap=float(before.log_probabilities[place, first, 0] - before.log_probabilities[place, first, 1]),
                rank=rank(before.likeliest[place, first].tolist(), after.texts[place][first]),
            )
            for place, first in enumerate(firsts)
            if first is not None
        ),
    )


def first_difference(one: Sequence[int], other: Sequence[int]) -> int | None:
    """The first place at which two texts of equal length differ; None if they do not."""
    return next((place for place, pair in enumerate(zip(one, other, strict=True)) if pair[0] != pair[1]), None)


def rank(tokens: Sequence[int], token: int) -> int | None:
    """The place of a token among others, from 1; None if it is not there."""
    return tokens.index(token) + 1 if token in tokens else None


def check_same(found: Verification, what: str, remedy: str) -> None:
    """Raises UserError if what was exported is another model than before: more than rounding changed its choices."""
    if found.share < LEAST_SAME:
        raise UserError(
            f"{what}: finds the same token likeliest at {found.same_choices} of {found.choices} places alone, so it is "
            f"another model than the run's; nothing was kept; {remedy}"
        )
