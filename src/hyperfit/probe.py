"""What is looked at between epochs: loss and entropy on held-out text, and what the model writes."""

import math
from dataclasses import dataclass

import numpy as np
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.corpus import Corpus
from hyperfit.decode.generate import continuation_text, continue_contexts
from hyperfit.measure.diversity import TTR_WINDOW, type_token_ratio
from hyperfit.measure.sharpness import sharpness
from hyperfit.model import positions_of

CONTEXT = 32
"""Tokens of held-out text that are continued."""


@dataclass(frozen=True)
class Probe:
    """One look at a model. All NaN and empty where nothing is held out."""

    val_loss: float
    """Mean loss on the held-out sequences, nats per token."""
    entropy: float
    """Mean entropy of the predictions there, nats."""
    ttr: float
    """Mean type-token ratio of 96 greedy tokens after each context."""
    sample: str
    """The first of those continuations."""

    @property
    def event(self) -> dict[str, float | str | None]:
        """For events.jsonl, rounded to six digits."""
        numbers = {"val_loss": self.val_loss, "entropy": self.entropy, "ttr": self.ttr}
        return {**{k: None if math.isnan(v) else round(v, 6) for k, v in numbers.items()}, "sample": self.sample}


def probe(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, texts: int, batch_size: int
) -> Probe:
    """Measure on the held-out sequences and continue the first ``texts`` of them greedily."""
    if not len(corpus.validation):
        return Probe(math.nan, math.nan, math.nan, "")
    seen = sharpness(model, corpus.validation, batch_size=batch_size)
    contexts = corpus.validation[:texts, : min(CONTEXT, corpus.validation.shape[1] - 1)].tolist()
    limit = positions_of(model.config) or CONTEXT + TTR_WINDOW
    new_tokens = min(TTR_WINDOW, limit - len(contexts[0]))
    written = continue_contexts(model, tokenizer, contexts, new_tokens=new_tokens, batch_size=texts)
    return Probe(
        val_loss=float(seen.loss.mean()),
        entropy=float(seen.entropy.mean()),
        ttr=float(np.mean([type_token_ratio(text) for text in written])),
        sample=continuation_text(tokenizer, contexts[0], written[0]),
    )
