"""How each step's token is chosen, by the decodings' own rules: as ``continue_contexts`` chooses it."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedTokenizerBase,
    RepetitionPenaltyLogitsProcessor,
)

from hyperfit.generation.continuations import SEARCHES, continue_contexts
from hyperfit.generation.decodings import Decoding
from hyperfit.generation.processors.rules import penalties, sampling
from hyperfit.mechanism.pair.pair import Pair, Side
from hyperfit.models.structure.ends import end_tokens
from hyperfit.models.structure.layout import inner_model
from hyperfit.play.tokens.stream import Choose


class Stopped(Exception):  # noqa: N818  # nobody's fault: whoever asked has stopped it
    """A search was stopped before its text was there."""


def chooser(
    pair: Pair,
    side: Side,
    tokenizer: PreTrainedTokenizerBase,
    context: list[int],
    decoding: Decoding,
    *,
    new_tokens: int,
    seed: int,
    stopped: Callable[[], bool] = lambda: False,
) -> Choose:
    """The rule of one side's text.

    A search (beam, contrastive) tries several texts, so its text is written first, which takes its time, and told
    token by token afterwards. Raises Stopped if ``stopped`` says so meanwhile.
    """
    with pair.side(side) as model:
        ends = end_tokens(inner_model(model), tokenizer)
        device = inner_model(model).device
        if decoding.name in SEARCHES:
            (found,) = continue_contexts(
                model,
                tokenizer,
                [context],
                new_tokens=new_tokens,
                decoding=decoding,
                stop_at_end=True,
                processors=[Stoppable(stopped)],
            )
            return told(found)
    rules: list[LogitsProcessor] = []
    if decoding.name == "repetition-penalty":
        rules.append(RepetitionPenaltyLogitsProcessor(decoding.settings["repetition_penalty"]))
    rules += penalties(decoding, [context])
    rules += sampling(decoding, [context], [0], new_tokens, seed, device)
    return by_rules(LogitsProcessorList(rules), ends)


def by_rules(rules: Callable[..., Tensor], ends: Sequence[int]) -> Choose:
    """The likeliest token that the rules leave; None for one of ``ends``."""

    def choose(ids: Tensor, logits: Tensor) -> int | None:
        token = int(rules(ids, logits.clone()).argmax(-1))
        return None if token in ends else token

    return choose


def told(tokens: Sequence[int]) -> Choose:
    """One token after the other; None behind the last."""
    left = iter(tokens)
    return lambda ids, logits: next(left, None)


class Stoppable(LogitsProcessor):
    """Changes nothing; raises Stopped once ``stopped`` says so."""

    def __init__(self, stopped: Callable[[], bool]) -> None:
        self.stopped = stopped

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """The scores as they are."""
        if self.stopped():
            raise Stopped
        return scores
