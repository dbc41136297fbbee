"""What a model expects at each position of given texts, read in pieces: no text's logits are ever held whole."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.models.devices import positions_at_once
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import last_hidden, logits_of
from hyperfit.models.structure.layout import inner_model, layout_of

Floats = NDArray[np.float64]
Model = PreTrainedModel | PeftModel
Texts = Tensor | Sequence[Sequence[int]]
"""Token ids: int64[texts, length], or texts of any lengths."""
Bound = int | Sequence[int]
"""A token's place in its text, counted from 0: one for all texts, or one a text."""
Place = tuple[NDArray[np.int64], NDArray[np.int64]]
"""Indices of positions: which text, and which of its tokens is predicted."""

MASSES = (1, 3, 5)
"""Of how many best tokens the probability is taken together."""


@dataclass(frozen=True)
class Reader:
    """A model as it is to be read; one PEFT model is two: with its adapter, and (``without_adapter``) without."""

    model: Model
    within: Callable[[], AbstractContextManager[object]] = nullcontext
    """Entered around everything that the model computes."""

    @classmethod
    def of(cls, model: "Model | Reader") -> "Reader":
        """The reader of a bare model; a reader as it is."""
        return model if isinstance(model, Reader) else cls(model)

    def states(self, ids: Tensor) -> Tensor:
        """float[texts, length, width]: what the head sees for int64[texts, length] ids. Prefix caches serve it."""
        with self.within():
            inner = inner_model(self.model)
            device = inner.get_output_embeddings().weight.device  # the rest may not be in memory
            return last_hidden(inner, ids.to(device))

    def logits(self, states: Tensor) -> Tensor:
        """float32[positions, vocabulary]"""
        with self.within():
            return logits_of(inner_model(self.model), states).float()

    @property
    def at_once(self) -> int:
        """Positions whose logits may be held together."""
        inner = inner_model(self.model)
        return positions_at_once(layout_of(inner).vocabulary, inner.get_output_embeddings().weight.device)


def without_adapter(model: PeftModel) -> Reader:
    """The base model under an adapter, read through the same weights."""

    @contextmanager
    def off() -> Iterator[None]:
        learns = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        try:
            with model.disable_adapter():
                yield
        finally:
            for parameter, learned in learns:  # PEFT lets every adapter learn when it comes back
                parameter.requires_grad_(learned)

    return Reader(model, off)


@dataclass(frozen=True)
class Predictions:
    """A model's predictions, position by position: column t tells how token t was expected from those before it.

    Every array is [texts, longest]. NaN (in ``choices`` -1) where a text has no token t or it was not asked for;
    so always for t = 0, which nothing stands before.
    """

    loss: Floats
    """-log p(token): nats, 0 or more."""
    entropy: Floats
    """-Σ p log p over the vocabulary: nats, in [0, log vocabulary]."""
    mass: dict[int, Floats]
    """@1, @3, @5: probability of the k best tokens together, in (0, 1]."""
    hit: Floats
    """1 where the likeliest token is the text's, else 0."""
    choices: NDArray[np.int64]
    """The likeliest token."""

    @classmethod
    def unread(cls, shape: tuple[int, ...]) -> "Predictions":
        """[texts, longest] positions of which nothing is known yet."""
        loss, entropy, hit, *masses = (np.full(shape, np.nan) for _ in range(3 + len(MASSES)))
        return cls(loss, entropy, dict(zip(MASSES, masses, strict=True)), hit, np.full(shape, -1, np.int64))

    def put(self, place: Place, targets: Tensor, log_p: Tensor) -> None:
        """Enter some positions, from their tokens int64[positions] and log_p float32[positions, vocabulary]."""
        p = log_p.exp()
        best = p.topk(max(MASSES), dim=-1)
        self.loss[place] = -log_p.gather(-1, targets[:, None]).squeeze(-1).cpu()
        self.entropy[place] = entropy_of(p, log_p).cpu()
        self.hit[place] = (best.indices[:, 0] == targets).cpu()
        self.choices[place] = best.indices[:, 0].cpu()
        for k, mass in self.mass.items():
            mass[place] = best.values[:, :k].sum(-1).clamp_max(1).cpu()  # rounding may leave 1.0000001

    def part(self, skip: Bound = 1, until: Bound | None = None) -> "Predictions":
        """Only the tokens from ``skip`` to before ``until`` (None: the end); the others become NaN.

        Contexts of c tokens are ``part(until=c)``, and their continuations ``part(skip=c)``.
        """
        texts, longest = self.loss.shape
        return self.only(counted([longest] * texts, skip, until))

    def only(self, inside: NDArray[np.bool_]) -> "Predictions":
        """Only the tokens that bool[texts, longest] says; the others become NaN."""

        def only(values: Floats) -> Floats:
            return np.where(inside, values, np.nan)

        return Predictions(
            only(self.loss),
            only(self.entropy),
            {k: only(mass) for k, mass in self.mass.items()},
            only(self.hit),
            np.where(inside, self.choices, -1),
        )


def predict(
    model: Model | Reader,
    texts: Texts,
    *,
    skip: Bound = 1,
    until: Bound | None = None,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Predictions:
    """Read texts with a model and keep, of each token from ``skip`` to before ``until`` (None: the end), six numbers.

    Memory grows with the number of tokens, not with tokens times vocabulary. Everything is computed in fp32 from the
    model's logits. Raises ValueError for a ``skip`` below 1. advance: called with the number of texts done.
    """
    reader = Reader.of(model)
    wanted = counted([len(text) for text in texts], skip, until)
    seen = Predictions.unread(wanted.shape)
    with evaluating(reader.model):
        for place, targets, (logits,) in pieces([reader], texts, wanted, batch_size, advance):
            seen.put(place, targets, logits.log_softmax(-1))
    return seen


def pieces(
    readers: Sequence[Reader],
    texts: Texts,
    wanted: NDArray[np.bool_],
    batch_size: int,
    advance: Callable[[int], None],
) -> Iterator[tuple[Place, Tensor, list[Tensor]]]:
    """Of some ``wanted`` positions at a time, in order: where they are, their tokens, and each reader's logits there.

    wanted: bool[texts, longest]. Tokens: int64[positions]; logits: float32[positions, vocabulary]. Texts of a batch
    are padded on the right, where a causal model's earlier positions do not see it.
    """
    at_once = min(reader.at_once for reader in readers)
    for start in range(0, len(texts), batch_size):
        batch = texts[start : start + batch_size]
        rows, columns = np.nonzero(wanted[start : start + batch_size])
        if len(rows):
            ids = right_pad(batch)
            # from the position before a token it is predicted
            states = [reader.states(ids)[rows, columns - 1] for reader in readers]
            for cut in range(0, len(rows), at_once):
                here = slice(cut, cut + at_once)
                targets = ids[rows[here], columns[here]].to(states[0].device)
                logits = [reader.logits(seen[here]) for reader, seen in zip(readers, states, strict=True)]
                yield (start + rows[here], columns[here]), targets, logits
        advance(len(batch))


def entropy_of(p: Tensor, log_p: Tensor) -> Tensor:
    """float32[positions]: -Σ p log p over float32[positions, vocabulary], in nats; 0 log 0 is 0."""
    finite = log_p.clamp_min(torch.finfo(log_p.dtype).min)
    return -finite.mul_(p).sum(-1)  # in place: another 16 MB a piece would take longer than the logarithm of p


def right_pad(texts: Texts) -> Tensor:
    """int64[texts, longest]: token ids, filled up with 0."""
    if isinstance(texts, Tensor):
        return texts
    rows = [torch.as_tensor(text, dtype=torch.int64) for text in texts]
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)


def counted(lengths: ArrayLike, skip: Bound, until: Bound | None) -> NDArray[np.bool_]:
    """bool[texts, longest]: the tokens from ``skip`` to before ``until`` (None: the end) of texts of these lengths.

    Raises ValueError for a ``skip`` below 1, as nothing stands before the first token to predict it from.
    """
    ends = np.asarray(lengths, np.int64)
    first = np.broadcast_to(np.asarray(skip, np.int64), ends.shape)
    last = ends if until is None else np.minimum(ends, np.asarray(until, np.int64))
    if (first < 1).any():
        raise ValueError(f"skip is {int(first.min())}; the first token has nothing to predict it from, so at least 1")
    columns = np.arange(ends.max(initial=0))
    return np.asarray((columns >= first[:, None]) & (columns < last[:, None]))


def text_means(values: Floats) -> Floats:
    """float64[texts]: mean of float64[texts, longest] over the positions that are not NaN; NaN for a text without."""
    there = ~np.isnan(values)
    count = there.sum(axis=1)
    total = np.where(there, values, 0).sum(axis=1)
    return np.asarray(np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0))
