"""What models predict on the same positions of given texts, a chunk of positions at a time."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial

import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.mechanism.layers.capture import block_point, recording
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import last_hidden, passing
from hyperfit.models.structure.forward import logits_of as head_logits
from hyperfit.models.structure.layout import inner_model, layout_of

Model = PreTrainedModel | PeftModel
Source = Callable[[], AbstractContextManager[Model]]
"""Gives a model for the time of a block, such as ``partial(pair.side, "base")``."""

LOGITS_AT_ONCE = 2**19
"""About how many logits of one model are held: 2 MB in fp32, so that what is done to them stays in a CPU's cache."""
FEWEST_POSITIONS = 32
"""At a time, however large the vocabulary: 16 MB where it is 128,000."""


@dataclass(frozen=True)
class Chunk:
    """Some positions of some texts, and what each model expects there."""

    text: Tensor
    """int64[positions]: which text, on the CPU."""
    place: Tensor
    """int64[positions]: index in its text of the token that is predicted, on the CPU."""
    logits: tuple[Tensor, ...]
    """float32[positions, vocabulary] of each model, all on the first one's device."""


def alone(model: Model) -> Source:
    """A single model, as a source for ``predictions``."""
    return lambda: nullcontext(model)


def pair_predictions(
    pair: Pair,
    *,
    texts: Tensor,
    skip: int = 1,
    every: int = 1,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Iterator[Chunk]:
    """``predictions`` of base and tuned model; the blocks that both have in common are computed once."""
    shared = pair.shared_blocks
    last = block_point(shared - 1)

    def read(batch: Tensor) -> list[Tensor]:
        with pair.side("base") as base, recording(base, {last} if shared else ()) as seen:
            states = last_states(base, batch, skip=skip)
        with pair.side("tuned") as tuned, passing(inner_model(tuned), shared, seen.get(last)):
            return [states, last_states(tuned, batch, skip=skip)]

    sides = (partial(pair.side, "base"), partial(pair.side, "tuned"))
    return predictions(*sides, texts=texts, skip=skip, every=every, batch_size=batch_size, advance=advance, read=read)


def predictions(
    *sources: Source,
    texts: Tensor,
    skip: int = 1,
    every: int = 1,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
    read: Callable[[Tensor], list[Tensor]] | None = None,
) -> Iterator[Chunk]:
    """The models' logits for the tokens ``skip``, ``skip + 1``, ... of int64[texts, length], text after text.

    skip: at least 1, as nothing comes before the first token. every: only each n-th of these positions, counted
    through all texts. Of each model the last hidden states of ``batch_size`` texts are held, and the logits of a chunk.
    read: gives these states of int64[batch, length] texts; None for ``last_states`` of each model.
    """
    width = texts.shape[1] - skip

    def one_by_one(batch: Tensor) -> list[Tensor]:
        found: list[Tensor] = []
        for source in sources:
            with source() as model:
                found.append(last_states(model, batch, skip=skip))
        return found

    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        chosen = torch.arange(-start * width % every, len(batch) * width, every)
        states = [found.flatten(0, 1) for found in (read or one_by_one)(batch)]
        with sources[-1]() as model:
            size = positions_at_once(model)
        for where in chosen.split(size):
            logits: list[Tensor] = []
            for source, held in zip(sources, states, strict=True):
                with source() as model:
                    logits.append(logits_of(model, held[where.to(held.device)]).to(states[0].device))
            yield Chunk(start + where // width, skip + where % width, tuple(logits))
        advance(len(batch))


def positions_at_once(model: Model) -> int:
    """Positions in a chunk of the model's logits."""
    return max(FEWEST_POSITIONS, LOGITS_AT_ONCE // layout_of(inner_model(model)).vocabulary)


def last_states(model: Model, texts: Tensor, *, skip: int = 1) -> Tensor:
    """float[texts, length - skip, width]: after the final norm, the states that predict tokens ``skip`` to the last."""
    inner = inner_model(model)
    with evaluating(inner):
        return last_hidden(inner, texts.to(inner.device))[:, skip - 1 : texts.shape[1] - 1]


def logits_of(model: Model, states: Tensor) -> Tensor:
    """float32[positions, vocabulary] from float[positions, width], as the model's own forward pass makes them."""
    with torch.no_grad():
        return head_logits(inner_model(model), states).float()
