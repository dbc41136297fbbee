"""Citation blocking: no token that would go on with what stands in the training data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessor

from hyperfit.errors import UserError
from hyperfit.generation.citations.index import CitationIndex


@dataclass(frozen=True, kw_only=True)
class BlockCounts:
    """How often a blocker acted."""

    steps: int
    """Tokens that were chosen: decoding steps times rows, without rows that had ended."""
    blocked: int
    """Of them, how many had a forbidden token."""
    changed: int
    """Of them, how many had the best-scored token among the forbidden ones: greedy decoding was turned aside."""


class CitationBlocker(LogitsProcessor):
    """Forbid the tokens that follow the last ``k`` tokens in the training data (Carlsson et al., ICLR 2025).

    A logits processor for ``model.generate`` of any transformers model::

        blocker = CitationBlocker(training_ids, k=5, pad_token_id=tokenizer.pad_token_id)
        model.generate(**inputs, logits_processor=[blocker])
        blocker.counts()

    training: a CitationIndex (build it once, save it, load it), or the sequences to build one from, see
    ``hyperfit.generation.citations.build.build_index``.
    k: how many tokens are looked at; 5, or what the index was built for.
    count_context: whether these may lie in the context. If so, the first token may be blocked already. If
    not, only generated tokens count, so that the token after the k-th is the first that may be blocked.
    pad_token_id: what rows are padded with on the left. The run of it at a row's beginning is no text, and no
    citation begins in it; nor, then, with a real token of that id at the very beginning. None: no padding.
    eos_token_id: one or more ids; a row that has generated one of them has ended, and is neither blocked nor counted.
    word_starts: bool[vocabulary], which tokens begin a new word, such as ``word_starts`` of the module beside this
        one finds. None is the plain reading of the paper: every token that would go on with the citation is
        forbidden, so a word may be broken off in its middle. With it, blocks act as soon as the current word is
        completed: a token that goes on with a word is let through, and the citation is forbidden at the
        next token that begins a new one (or a space or punctuation mark).
    prompt_width: tokens of the context with its padding. None: learned, as below.

    Exact: a token is forbidden (-inf) if and only if k tokens in a row that end here, and then it, stand
    in one training sequence. A row in which that would leave nothing allowed is left as it is, and counts as
    not blocked. Rows may be beams. Scores are copied, never changed in place. Nothing is read back to the host.
    The work grows with the rows, and with the most followers that any k tokens have.

    Where the context ends matters only to ``count_context=False`` and ``eos_token_id``. It is learned from the
    calls, which add one token each: another number of rows, or a width that is not the last one plus 1,
    begins a new context. That holds for greedy decoding, sampling and beams; one object may serve many calls
    of ``generate``. If a new context may be exactly one token wider than the last call's (as long as the text that
    was generated), call ``reset`` in between or give ``prompt_width``; for assisted generation give it too.
    """

    supports_continuous_batching = False  # it would be handed rows that hold several texts

    def __init__(
        self,
        training: CitationIndex | Tensor | Iterable[Any],
        k: int | None = None,
        *,
        count_context: bool = True,
        pad_token_id: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        word_starts: Tensor | None = None,
        prompt_width: int | None = None,
    ) -> None:
        index = (
            training if isinstance(training, CitationIndex) else CitationIndex.build(training, 5 if k is None else k)
        )
        needed = int(index.followers.max()) + 1 if len(index.followers) else 0
        problems = []
        if k is not None and k != index.k:
            problems.append(f"k={k}: the index was built for {index.k}; leave k out, or build it anew")
        if word_starts is not None and (word_starts.dtype != torch.bool or word_starts.ndim != 1):
            problems.append(f"word_starts: is {word_starts.dtype}{list(word_starts.shape)}; give bool[vocabulary]")
        elif word_starts is not None and len(word_starts) < needed:
            problems.append(f"word_starts: has {len(word_starts)} entries, and the training data the id {needed - 1}")
        if problems:
            raise UserError(*problems)
        self.index = index if word_starts is None else index.only(word_starts)
        self.count_context = count_context
        self.pad_token_id = pad_token_id
        self.eos_token_ids = () if eos_token_id is None else torch.tensor(eos_token_id).reshape(-1).tolist()
        self.prompt_width = prompt_width
        self.needed = needed
        """Scores that there must be in a row."""
        self.most = int(self.index.offsets.diff().max())
        """The most followers of any prefix."""
        self._counted: Tensor | None = None
        self._next = (0, 0)  # rows and width of the next call, if it adds a token to the last one's text
        self._learned = 0

    @property
    def k(self) -> int:
        """How many tokens are looked at."""
        return self.index.k

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """scores[rows, vocabulary] with -inf on forbidden tokens. input_ids: int64[rows, width].

        Raises UserError if the training data has token ids that the scores do not have.
        """
        if scores.shape[-1] < self.needed:
            raise UserError(
                f"the training data holds the token id {self.needed - 1}, and the model has {scores.shape[-1]} tokens; "
                "build the index with the model's own tokenizer"
            )
        if self.index.device != scores.device:
            self.index = self.index.to(scores.device)
        rows, width = input_ids.shape
        context = self._context(rows, width)
        going = self._going(input_ids[:, context:])
        start = width - self.k
        if not self.most or start < (0 if self.count_context else context):
            self._count(going, going & False, going & False)
            return scores
        found, rank = self.index.find(input_ids[:, start:])
        found &= going
        if self.pad_token_id is not None:
            found &= (input_ids[:, : start + 1] != self.pad_token_id).any(1)
        return self._blocked(scores, found, rank, going)

    def _blocked(self, scores: Tensor, found: Tensor, rank: Tensor, going: Tensor) -> Tensor:
        """Scatter -inf on the followers of ``rank`` where ``found``; every row has ``most``, the last one repeated."""
        first, end = self.index.offsets[rank], self.index.offsets[rank + 1]
        found = found & (first < end)
        places = first[:, None] + torch.arange(self.most, device=scores.device)
        tokens = self.index.followers[places.minimum(end[:, None] - 1).clamp_(min=0)].long()
        own = scores.gather(1, tokens)  # a row without a block gets them back
        blocked = scores.scatter(1, tokens, own.masked_fill(found[:, None], -torch.inf))
        allowed = first_best(blocked)[:, None]
        best_allowed = blocked.gather(1, allowed)
        found = found & (best_allowed > -torch.inf).squeeze(1)
        blocked.scatter_(1, tokens, own.masked_fill(found[:, None], -torch.inf))
        best_own, place = own.max(1, keepdim=True)  # of equal ones the first, the smallest token id
        tied_before = (best_own == best_allowed) & (tokens.gather(1, place) < allowed)
        self._count(going, found, found & ((best_own > best_allowed) | tied_before).squeeze(1))
        return blocked

    def _context(self, rows: int, width: int) -> int:
        """Tokens of a row that were not generated."""
        if self._next != (rows, width):
            self._learned = width
        self._next = (rows, width + 1)
        return self._learned if self.prompt_width is None else self.prompt_width

    def _going(self, generated: Tensor) -> Tensor:
        """bool[rows]: rows that have not ended."""
        going = torch.ones(len(generated), dtype=torch.bool, device=generated.device)
        for end in self.eos_token_ids:
            going &= (generated != end).all(1)
        return going

    # Counts

    def _count(self, going: Tensor, blocked: Tensor, changed: Tensor) -> None:
        new = torch.stack([going, blocked, changed]).sum(1)
        self._counted = new if self._counted is None else self._counted.to(new.device) + new

    def counts(self) -> BlockCounts:
        """What was counted since the beginning, or since ``reset``. Waits for the device."""
        steps, blocked, changed = [0, 0, 0] if self._counted is None else self._counted.tolist()
        return BlockCounts(steps=steps, blocked=blocked, changed=changed)

    def reset(self) -> None:
        """Count from 0, and take the next call for the first of a new context."""
        self._counted = None
        self._next = (0, 0)


def first_best(scores: Tensor) -> Tensor:
    """int64[rows]: ``scores.argmax(1)``, of equal scores the first, in a fifth of its time on a CPU.

    The best of each block of columns, then the first best block, then the first best within it: only
    the first of these reads all scores, and a maximum, unlike argmax, is vectorised there.
    """
    rows, columns = scores.shape
    block = next((size for size in (512, 256, 128, 64) if columns % size == 0), 0)
    if not block:
        return scores.argmax(1)
    blocks = scores.reshape(rows, -1, block)
    best = blocks.amax(2).argmax(1)
    within = blocks.gather(1, best[:, None, None].expand(rows, 1, block)).squeeze(1)
    return best * block + within.argmax(1)
