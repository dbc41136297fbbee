"""What one side of a pair writes after the starts of human texts, how varied it is, and whether of words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.generation.continuations import continue_contexts
from hyperfit.mechanism.pair.pair import Pair, Side
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.metrics.text.diversity import ngram_repetition, type_token_ratio
from hyperfit.metrics.text.words import Lexicon, word_shares

SAMPLING = "nucleus:top_p=1,temperature=1,top_k=0"
"""Plain sampling: every token with the model's own probability."""

Texts = list[list[int]]
"""Token ids of each text."""


@dataclass(frozen=True, kw_only=True)
class Continuing:
    """How a study has texts written."""

    context: int = 32
    """Tokens at the start of each human text that are continued."""
    new_tokens: int | None = None
    """Tokens to write. None: as many as the human text goes on for."""
    seed: int = 0
    """Of the sampling."""
    batch_size: int = 32
    """Texts at a time; in half precision greedy text can depend on it."""

    def __post_init__(self) -> None:
        values = {"context": self.context, "new_tokens": self.new_tokens, "batch_size": self.batch_size}
        problems = [
            f"{name} {value}: give at least 1" for name, value in values.items() if value is not None and value < 1
        ]
        if problems:
            raise UserError(*problems)


def continued(
    pair: Pair,
    side: Side,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing,
    *,
    decoding: str = "greedy",
    processors: Sequence[LogitsProcessor] = (),
    advance: Callable[[int], None] = lambda done: None,
) -> Texts:
    """The tokens that one side puts after the context of each of int64[texts, length]."""
    with pair.side(side) as model:
        return continue_contexts(
            model,
            tokenizer,
            texts[:, : settings.context].tolist(),
            new_tokens=settings.new_tokens or texts.shape[1] - settings.context,
            decoding=decoding,
            seed=settings.seed,
            batch_size=settings.batch_size,
            processors=processors,
            advance=advance,
        )


MEASURES: dict[str, Callable[[Sequence[int]], float]] = {
    "ttr": type_token_ratio,
    "bigram_repetition": lambda text: ngram_repetition(text, 2),
    "trigram_repetition": lambda text: ngram_repetition(text, 3),
}
"""Diversity of a text; see hyperfit.metrics.text.diversity."""


WordShares = Callable[[Texts], Sequence[float]]
"""The share of words of each text; see hyperfit.metrics.text.words."""


def words_after(tokenizer: PreTrainedTokenizerBase, contexts: Tensor, lexicon: Lexicon | None) -> WordShares:
    """How the share of words is taken of texts that continue int64[texts, context]; NaN without a lexicon."""
    return partial(word_shares, tokenizer, contexts.tolist(), lexicon=lexicon)


def diversity_by_text(texts: Texts, words: WordShares) -> dict[str, NDArray[np.float64]]:
    """Each of MEASURES, and ``word_share`` → float64[texts]; NaN where a text is too short for it."""
    found = {name: np.array([measure(text) for text in texts], np.float64) for name, measure in MEASURES.items()}
    return found | {"word_share": np.array(words(texts), np.float64)}


def diversity(texts: Texts, words: WordShares) -> dict[str, Estimate]:
    """Each of the same as a mean over texts."""
    return {name: estimate(values) for name, values in diversity_by_text(texts, words).items()}
