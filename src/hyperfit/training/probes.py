"""What is looked at between epochs: loss and entropy on held-out text, and what the model writes."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.data.characters import character_end
from hyperfit.data.corpus import Corpus
from hyperfit.generation.continuations import continuation_text, continue_contexts
from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, longest_overlaps
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import estimate
from hyperfit.metrics.predictions.predict import predict
from hyperfit.metrics.text.diversity import TTR_WINDOW, type_token_ratio
from hyperfit.metrics.text.words import Lexicon, word_shares
from hyperfit.models.structure.layout import positions_of
from hyperfit.training.checks import CheckedRecipe

GREEDY = ("ttr", "word_share", "longest_overlap", "long_overlap_share")
"""What greedy texts are measured by."""
SHARE = 0.25
"""Of a held-out picture that is continued, as Carlsson et al. (2025) do it."""
CONTEXT = 32
"""Tokens of held-out text that are continued."""


def predictions(
    model: PreTrainedModel | PeftModel, corpus: Corpus, batch_size: int, before: Tensor | None
) -> tuple[dict[str, float | None], Tensor | None]:
    """What the model expects on the held-out sequences, and its likeliest tokens, int32[sequences, length].

    ``val_loss`` and ``entropy``, nats per token, means over all tokens that count, as the training loss is;
    ``agreement``, share of them at which the likeliest token is what it was at the last probe, whose likeliest tokens
    are ``before``. None where nothing is held out, or before a first.
    """
    if not len(corpus.validation):
        return {"val_loss": None, "entropy": None, "agreement": None}, None
    read = predict(model, corpus.validation, batch_size=batch_size)
    learned = corpus.validation_learned
    counted = torch.ones_like(corpus.validation, dtype=torch.bool) if learned is None else learned
    seen, choices = read.only(counted.numpy()), torch.from_numpy(read.choices[:, 1:].astype(np.int32))
    means = {"val_loss": float(np.nanmean(seen.loss)), "entropy": float(np.nanmean(seen.entropy))}
    if before is not None:
        means["agreement"] = float((choices == before)[counted[:, 1:]].double().mean())
    return {"agreement": None, **{name: round(mean, 6) for name, mean in means.items()}}, choices


def human_text(model: PreTrainedModel | PeftModel, checked: CheckedRecipe) -> dict[str, float | None]:
    """``human_ttr``: mean type-token ratio of what people wrote after the contexts that ``greedy_text`` continues.

    None where nothing is held out, or where sequences are too short.
    """
    if not len(checked.corpus.validation):
        return {"human_ttr": None}
    contexts, new_tokens = probed(model, checked)
    rows = checked.corpus.validation_sequences[: len(contexts)]
    texts = [row[len(context) :][:new_tokens] for row, context in zip(rows, contexts, strict=True)]
    size = window(checked, new_tokens)
    ratios = [type_token_ratio(text, size) for text in texts if len(text) >= size]  # replies may be shorter
    mean = float(np.mean(ratios)) if ratios else math.nan
    return {"human_ttr": None if math.isnan(mean) else round(mean, 6)}


def probed(model: PreTrainedModel | PeftModel, checked: CheckedRecipe) -> tuple[list[list[int]], int]:
    """The held-out contexts that are continued, as many as the recipe says, and by how many tokens.

    Of text 32 tokens, by 96; of a chat what stands before its first reply; of pictures the first quarter, to the end.
    """
    corpus, count, limit = checked.corpus, checked.recipe.probe_texts, positions_of(model.config)
    if checked.palette is not None:
        start = checked.palette.context(SHARE)
        return [row[:start] for row in corpus.validation[:count].tolist()], checked.palette.length - start
    contexts = held_out_contexts(corpus, checked.tokenizer, count)
    room = limit - max(map(len, contexts)) if limit else TTR_WINDOW
    return contexts, min(TTR_WINDOW, room)


def held_out_contexts(corpus: Corpus, tokenizer: PreTrainedTokenizerBase, count: int) -> list[list[int]]:
    """The beginnings of the first held-out sequences, at most ``count``, for a model to go on from.

    What stands before the first reply, at least a token; of a text, also one among chats, 32 tokens, or the few less
    that end with a whole character and leave one to write.
    """
    rows: list[list[int]] = corpus.validation[:count].tolist()
    learned = corpus.validation_learned
    if learned is None:
        return [text_beginning(tokenizer, row) for row in rows]
    return [
        text_beginning(tokenizer, row) if all(some[1:]) else row[: max(some.index(True), 1)]
        for row, some in zip(rows, learned[:count].tolist(), strict=True)
    ]


def text_beginning(tokenizer: PreTrainedTokenizerBase, row: list[int]) -> list[int]:
    """Of a text the first 32 tokens, as ``held_out_contexts`` has them."""
    return row[: character_end(tokenizer, row, min(CONTEXT, len(row) - 1))]


def window(checked: CheckedRecipe, new_tokens: int) -> int:
    """Tokens on which the type-token ratio is taken: the last 96 of a text; all that were added to a picture."""
    return TTR_WINDOW if checked.palette is None else new_tokens


def greedy_text(model: PreTrainedModel | PeftModel, checked: CheckedRecipe) -> dict[str, float | str | None]:
    """Means over what is written greedily after the first contexts, as many as the recipe says, and a ``sample``.

    ``ttr``, the type-token ratio; ``word_share``, the words that are words; ``longest_overlap``, tokens of the longest
    run that also stands in a training sequence; ``long_overlap_share``, texts in which that is above LONG_OVERLAP.
    None where undefined; all None, and the sample empty, where nothing is held out. Of pictures the ratio alone: any
    plain ground has long runs of tokens that stand in others, too.
    """
    corpus, tokenizer, texts = checked.corpus, checked.tokenizer, checked.recipe.probe_texts
    if not len(corpus.validation):
        return {**dict.fromkeys(GREEDY), "sample": ""}
    contexts, new_tokens = probed(model, checked)
    written = continue_contexts(model, tokenizer, contexts, new_tokens=new_tokens, batch_size=texts)
    if checked.palette is not None:
        ttr = np.mean([type_token_ratio(text, new_tokens) for text in written])
        return {**dict.fromkeys(GREEDY), "ttr": round(float(ttr), 6), "sample": ""}
    return measured(tokenizer, contexts, written, checked.index, checked.lexicon)


def measured(
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    index: TrainingIndex,
    lexicon: Lexicon | None,
) -> dict[str, float | str | None]:
    """The means GREEDY over the texts that were written after contexts, and the first as ``sample``."""
    overlaps = longest_overlaps(written, index)
    means = {
        "ttr": np.mean([type_token_ratio(text) for text in written]),
        "word_share": estimate(word_shares(tokenizer, contexts, written, lexicon)).value,
        "longest_overlap": overlaps.mean(),
        "long_overlap_share": (overlaps > LONG_OVERLAP).mean(),
    }
    return {
        **{name: None if math.isnan(mean) else round(float(mean), 6) for name, mean in means.items()},
        "sample": continuation_text(tokenizer, contexts[0], written[0]),
    }
