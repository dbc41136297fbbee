"""Study: top-rank encouragement. Does hyperfitting bring good tokens to the top, beyond those of its training texts?"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.predictions import Model, Source, alone, predictions
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.numbers import HUNDREDTHS, PERCENT, POINTS, TENTHS
from hyperfit.runs.json_values import json_values

TOPS = (1, 5, 10)
LOG_RANK, OTHER_LEADS, ACCEPTABLE_LEADS, LEADS = 1, 2, 3, 4
"""Places of measures in what ``_measures`` gives."""
Values = NDArray[np.float64]
ACCEPTABLE = 5
"""A token is acceptable if it is among so many best ones of the scorer."""


@dataclass(frozen=True, kw_only=True)
class Encouragement:
    """One model's order of tokens on human text: means over texts of means over positions."""

    rank: Estimate
    """Of the human token, from 1; ties share the best rank."""
    log_rank: Estimate
    """Of its natural logarithm, which a few deep tokens do not decide; exp of it is the geometric mean rank."""
    within: dict[int, Estimate]
    """For each of TOPS: share of positions whose human token is among the k best."""
    mass: dict[int, Estimate]
    """For each of TOPS: probability of the k best tokens together, in (0, 1]."""
    entropy: dict[int, Estimate]
    """For each of TOPS: entropy among the k best, their probabilities divided by their mass; in [0, log k], 0 for 1."""
    other_leads: Estimate
    """Share of positions at which another token than the human one is the likeliest."""
    acceptable_leads: Estimate
    """Share of positions at which that other token is acceptable to the scorer. NaN without a scorer."""
    acceptable_of_other: Estimate
    """Of the positions at which another token leads: share at which it is acceptable. NaN without a scorer."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """The measures in numbers."""
        told = (
            f"the human token's geometric mean rank is {TENTHS.told(math.exp(self.log_rank.value))}, it leads at "
            f"{PERCENT.told(self.within[1].value)} of positions; the best token has "
            f"{PERCENT.told(self.mass[1].value)} of the "
            f"probability, the 10 best {PERCENT.told(self.mass[10].value)} with "
            f"{HUNDREDTHS.told(self.entropy[10].value)} nats among them"
        )
        if not math.isnan(self.acceptable_of_other.value):
            told += f"; where another token leads, it is acceptable at {PERCENT.told(self.acceptable_of_other.value)}"
        return told


@dataclass(frozen=True, kw_only=True)
class EncouragementByEpoch:
    """The same measures before training and after some epochs."""

    epochs: dict[int, Encouragement]
    """Epoch (0: the base model) → measures, in order."""
    log_rank_change: Estimate
    """Of the human token's mean log rank from the first to the last epoch, text by text; below 0 it rose."""
    leads_change: Estimate
    """Of the share of positions at which the human token leads."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """Whether good tokens came to the top, and the first and the last epoch in numbers."""
        first, last = min(self.epochs), max(self.epochs)
        moved, leads = self.log_rank_change, self.leads_change
        down = "go further down" if moved.low > 0 else "stay where they are"
        way = "come closer to the top" if moved.high < 0 else down
        rank = Estimate(math.exp(moved.value), math.exp(moved.low), math.exp(moved.high), moved.n)
        return (
            f"On held-out text ({moved.n} texts) human tokens {way}: their rank after training is "
            f"{HUNDREDTHS.within(rank)} times that before (geometric means), and they lead at "
            f"{POINTS.within(leads, '+')} of the positions. "
            f"Before, {self.epochs[first].sentence()}. After, {self.epochs[last].sentence()}."
        )


def _by_text(
    model: Model,
    texts: Tensor,
    *,
    scorer: Model | None,
    skip: int,
    advance: Callable[[int], None],
) -> Values:
    """float64[measures, texts]: means over positions of what ``_measures`` gives."""
    sources = [alone(each) for each in (model, scorer) if each is not None]
    if scorer is not None:
        check_scorer(model, scorer)
    rows: list[Tensor] = []
    for chunk in predictions(*sources, texts=texts, skip=skip, advance=advance):
        human = texts[chunk.text, chunk.place].to(chunk.logits[0].device)
        rows.append(torch.stack(_measures(human, *chunk.logits)).double().cpu())
    values: Values = torch.cat(rows, dim=1).unflatten(1, (len(texts), -1)).mean(2).numpy()
    return values


def _summary(values: Values) -> Encouragement:
    """Means over texts."""
    rank, log_rank, other, acceptable, *tops = map(estimate, values)
    within, mass, entropy = (dict(zip(TOPS, tops[i :: len(TOPS)], strict=True)) for i in range(3))
    with np.errstate(invalid="ignore"):
        of_other = values[ACCEPTABLE_LEADS] / values[OTHER_LEADS]
    return Encouragement(
        rank=rank,
        log_rank=log_rank,
        within=within,
        mass=mass,
        entropy=entropy,
        other_leads=other,
        acceptable_leads=acceptable,
        acceptable_of_other=estimate(of_other),
    )


def _measures(human: Tensor, logits: Tensor, scores: Tensor | None = None) -> list[Tensor]:
    """float[positions] each: rank, log rank, other leads, acceptable leads; then within, mass, entropy for each k."""
    rank = 1 + (logits > logits.gather(-1, human[:, None])).sum(-1)
    log_best = logits.log_softmax(-1).topk(min(max(TOPS), logits.shape[-1]), dim=-1)
    leader = log_best.indices[:, 0]
    other = (leader != human) & (rank > 1)
    acceptable = torch.full_like(logits[:, 0], math.nan)
    if scores is not None:
        acceptable = (scores.topk(ACCEPTABLE, dim=-1).indices == leader[:, None]).any(-1) & other
    measures = [rank, rank.log(), other, acceptable]
    for k in TOPS:
        log_top = log_best.values[:, :k]
        within = log_top.log_softmax(-1)
        measures += [rank <= k, log_top.exp().sum(-1), -torch.special.xlogy(within.exp(), within.exp()).sum(-1)]
    return [measure.float() for measure in measures]


def check_scorer(model: Model, scorer: Model) -> None:
    """Raises UserError unless both models predict over as many tokens."""
    mine, theirs = (layout_of(inner_model(each)).vocabulary for each in (model, scorer))
    if mine != theirs:
        raise UserError(
            f"--scorer: its vocabulary has {theirs} tokens, the model's {mine}; tokens can only be compared one by one "
            "under one tokenizer: give a larger model of the same family"
        )


def by_epoch(
    models: Mapping[int, Source],
    texts: Tensor,
    *,
    scorer: Model | None = None,
    skip: int = 1,
    advance: Callable[[int], None] = lambda done: None,
) -> EncouragementByEpoch:
    """How the model of each epoch (0: the base model) orders tokens on int64[texts, length], held-out human text.

    One model at a time is asked for. scorer: a separate, stronger model with the same vocabulary; a leading token that
    is not the human one is acceptable if it is among its 5 best there. Raises UserError for a scorer with another
    vocabulary. Source: the hypothesis of Carlsson et al. (2025), section 7.3, that training moves good tokens to the
    top ranks; they did not test it.
    """

    def look(source: Source) -> Values:
        with source() as model:  # which nothing holds once this has returned
            return _by_text(model, texts, scorer=scorer, skip=skip, advance=advance)

    seen = {epoch: look(source) for epoch, source in sorted(models.items())}
    first, last = seen[min(seen)], seen[max(seen)]
    return EncouragementByEpoch(
        epochs={epoch: _summary(values) for epoch, values in seen.items()},
        log_rank_change=paired_difference(list(last[LOG_RANK]), list(first[LOG_RANK])),
        leads_change=paired_difference(list(last[LEADS]), list(first[LEADS])),
    )
