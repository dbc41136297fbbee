"""Where to adapt, how many blocks: the base model and what each training ended with, measured on the same texts."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.generation.continuations import continue_contexts
from hyperfit.mechanism.pair.continuations import Continuing, Texts, diversity_by_text, words_after
from hyperfit.mechanism.pair.predictions import Model, alone, predictions
from hyperfit.mechanism.temperature.temperature import entropy_and_slope
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference, share_estimate
from hyperfit.metrics.score import ALL_SHARES, memorisation
from hyperfit.metrics.text.words import Lexicon
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.placement.design import PlacementTrial
from hyperfit.studies.placement.findings import Measured, Placement

ByText = dict[str, NDArray[np.float64]]
"""Measure → float64[texts]."""


def placement(
    trained: Sequence[Trained[PlacementTrial]],
    load: Callable[[str], Model],
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing,
    *,
    depth: int,
    lexicon: Lexicon | None = None,
    index: TrainingIndex | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Placement:
    """Measure the base model and what each trial ended with on int64[texts, length], human text.

    trained: the reference first. load: a model by name, to evaluate. lexicon: what counts as a word; None leaves
    their share undefined. index: of the training data; None leaves out what was copied of it. advance: called with 1
    after each model. Source: study 5 of Li et al. (2026) and their table of TinyLlama and Qwen2.5, which have the last
    5 blocks and all; the other places, and what is held equal, go beyond it.
    """
    reference = trained[0].trial
    base, choices = measured(load(reference.recipe.model), tokenizer, texts, settings, lexicon, index)
    advance(1)
    known: dict[str, ByText] = {}
    for one in trained:
        name = str(one.run.path)
        if name not in known and not one.diverged:
            values, chosen = measured(load(name), tokenizer, texts, settings, lexicon, index)
            known[name] = {**values, "top1_agreement_with_base": (chosen == choices).double().mean(1).numpy()}
        advance(1)
    contexts, human = texts[:, : settings.context], texts[:, settings.context :].tolist()
    against = known.get(str(trained[0].run.path))
    return Placement(
        depth=depth,
        late=len(reference.blocks),
        goal=reference.recipe.goal,
        base=estimates({**base, "top1_agreement_with_base": np.ones(len(texts))}),
        human=estimates(text_measures(human, contexts, tokenizer, lexicon, index)),
        trials=[outcome(one, known.get(str(one.run.path)), against) for one in trained],
    )


def outcome(trained: Trained[PlacementTrial], values: ByText | None, against: ByText | None) -> Measured:
    """A trial with its measures, and its difference from the reference's."""
    trial = trained.trial
    return Measured(
        name=trained.run.path.name,
        place=trial.place,
        equal=trial.equal,
        blocks=trial.blocks,
        rank=trial.recipe.rank if trial.recipe.adapters else None,
        parameters=trained.parameters,
        epochs=trained.epochs,
        reason=trained.reason,
        train_loss=trained.train_loss,
        seconds=round(trained.seconds, 2),
        measures=estimates(values or {}),
        ttr_difference=paired_difference(list(values["ttr"]), list(against["ttr"])) if values and against else None,
    )


def measured(
    model: Model,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing,
    lexicon: Lexicon | None = None,
    index: TrainingIndex | None = None,
) -> tuple[ByText, Tensor]:
    """Each measure, and the model's likeliest tokens [texts, positions], on int64[texts, length]."""
    rows: list[Tensor] = []
    for chunk in predictions(alone(model), texts=texts, skip=settings.context):
        logits = chunk.logits[0]
        human = texts[chunk.text, chunk.place].to(logits.device)
        loss = torch.nn.functional.cross_entropy(logits, human, reduction="none")
        entropy = entropy_and_slope(logits, 1.0)[0]
        rows.append(torch.stack([entropy, loss, logits.argmax(-1)]).double().cpu())
    entropies, losses, choices = torch.cat(rows, dim=1).unflatten(1, (len(texts), -1))
    contexts = texts[:, : settings.context]
    written = continue_contexts(
        model,
        tokenizer,
        contexts.tolist(),
        new_tokens=settings.new_tokens or texts.shape[1] - settings.context,
        batch_size=settings.batch_size,
    )
    return {
        **text_measures(written, contexts, tokenizer, lexicon, index),
        "entropy": entropies.mean(1).numpy(),
        "loss": losses.mean(1).numpy(),
    }, choices


def text_measures(
    written: Texts,
    contexts: Tensor,
    tokenizer: PreTrainedTokenizerBase,
    lexicon: Lexicon | None,
    index: TrainingIndex | None,
) -> ByText:
    """Measures of texts that continue int64[texts, context]: diversity, words, and what stands in the training data."""
    found = diversity_by_text(written, words_after(tokenizer, contexts, lexicon))
    if index is None:
        return found
    (copied,) = memorisation({"": written}, index).values()
    return found | {name: np.array(copied[name]) for name in ("longest_overlap", "long_overlap_share")}


def estimates(values: ByText) -> dict[str, Estimate]:
    """Means over texts, and shares of them; the loss as perplexity."""
    means = {
        name: share_estimate(list(of_texts)) if name in ALL_SHARES else estimate(of_texts)
        for name, of_texts in values.items()
        if name != "loss"
    }
    return means | ({"perplexity": estimate(values["loss"], math.exp)} if "loss" in values else {})
