"""What is looked at between epochs: loss and entropy on held-out text, and what the model writes."""

import math

import numpy as np
from peft import PeftModel
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.data.corpus import Corpus
from hyperfit.generation.generate import continuation_text, continue_contexts
from hyperfit.metrics.predictions.sharpness import sharpness
from hyperfit.metrics.text.diversity import TTR_WINDOW, type_token_ratio
from hyperfit.models.families import positions_of

CONTEXT = 32
"""Tokens of held-out text that are continued."""


def predictions(model: PreTrainedModel | PeftModel, corpus: Corpus, batch_size: int) -> dict[str, float | None]:
    """``val_loss`` and ``entropy`` on the held-out sequences, nats per token; None where nothing is held out."""
    if not len(corpus.validation):
        return {"val_loss": None, "entropy": None}
    seen = sharpness(model, corpus.validation, batch_size=batch_size)
    return {"val_loss": round(float(seen.loss.mean()), 6), "entropy": round(float(seen.entropy.mean()), 6)}


def greedy_text(
    model: PreTrainedModel | PeftModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, texts: int
) -> dict[str, float | str | None]:
    """``ttr``, the mean type-token ratio of 96 greedy tokens after the first ``texts`` contexts, and a ``sample``.

    None and empty where nothing is held out.
    """
    if not len(corpus.validation):
        return {"ttr": None, "sample": ""}
    contexts = corpus.validation[:texts, : min(CONTEXT, corpus.validation.shape[1] - 1)].tolist()
    limit = positions_of(model.config) or CONTEXT + TTR_WINDOW
    new_tokens = min(TTR_WINDOW, limit - len(contexts[0]))
    written = continue_contexts(model, tokenizer, contexts, new_tokens=new_tokens, batch_size=texts)
    ttr = float(np.mean([type_token_ratio(text) for text in written]))
    return {
        "ttr": None if math.isnan(ttr) else round(ttr, 6),
        "sample": continuation_text(tokenizer, contexts[0], written[0]),
    }
