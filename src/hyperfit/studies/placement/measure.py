"""Study: where to adapt, how many blocks? The last ones by adapters and whole, the first, the middle, everything."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

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
from hyperfit.recipes.recipe import NEAR_ZERO
from hyperfit.runs.json_values import json_values
from hyperfit.studies.grid import Trained
from hyperfit.studies.placement.design import Equal, Place, PlacementTrial

CURVES: tuple[tuple[str, tuple[Place, ...]], ...] = (
    ("with adapters", ("last",)),
    ("with all their parameters", ("late-full", "full")),
)
"""What learns in the last blocks → its trials, of rising numbers of blocks; the last of the second is the model."""
TIMES: tuple[Equal, ...] = ("rank", "time")
"""Without a limit of time, and at equal time."""

ByText = dict[str, NDArray[np.float64]]
"""Measure → float64[texts]."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One trial and what came of it."""

    name: str
    """Of its folder; of the run's where that is the trial."""
    place: Place
    equal: Equal
    """What it has in common with the reference."""
    blocks: tuple[int, ...]
    """That learnt, counted from 0."""
    rank: int | None
    """Of the adapters; None without any."""
    parameters: int
    """Trained ones."""
    epochs: int
    reason: str
    """Why training ended: loss, epochs, or nan if it diverged, and then nothing is measured."""
    train_loss: float
    """Of the last epoch, nats per token; NaN if it diverged."""
    seconds: float
    """Of training, with filling the prefix cache, without looks between epochs."""
    measures: dict[str, Estimate]
    """Means over texts. Of greedy texts: ttr, bigram_repetition, trigram_repetition, word_share, longest_overlap
    (tokens) with the training data, long_overlap_share. Of predictions on human text: entropy (nats), perplexity,
    top1_agreement_with_base. Empty if it diverged."""
    ttr_difference: Estimate | None
    """TTR minus the reference's, text by text; None if either diverged."""


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Every trial beside base model and human text."""

    depth: int
    late: int
    """Last blocks of the reference."""
    base: dict[str, Estimate]
    human: dict[str, Estimate]
    trials: list[Measured]
    """The reference first."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def find(self, place: Place, equal: Equal, blocks: int | None = None) -> Measured | None:
        """The trial of that kind, if it was trained and did not diverge."""
        found = (
            trial
            for trial in self.trials
            if (trial.place, trial.equal) == (place, equal) and len(trial.blocks) == (blocks or len(trial.blocks))
        )
        return next((trial for trial in found if trial.measures), None)

    def sentence(self) -> str:
        """The finding in numbers."""
        reference = self.trials[0]
        if not reference.measures:
            flag = "--full-lr" if reference.rank is None else "--adapter-lr"
            return f"Training the last {self.late} blocks diverged: no verdict; give a smaller {flag}."
        whole = reference.rank is None
        told = [
            f"{'All parameters of' if whole else 'Adapters in'} the last {self.late} of {self.depth} blocks: "
            f"{_told(reference)}"
        ]
        places: tuple[tuple[str, Place, int | None], ...] = (
            (f"adapters in the last {self.late}", "last", self.late),
            (f"{'adapters ' if whole else ''}in the first {self.late}", "first", None),
            (f"{'adapters ' if whole else ''}in the middle {self.late}", "middle", None),
            (f"{'adapters ' if whole else ''}in all blocks", "last", self.depth),
            (f"all parameters of the last {self.late}", "late-full", self.late),
            ("all parameters without adapters", "full", None),
        )
        for words, place, blocks in places:
            trial = self.find(place, "rank", blocks)
            if trial is not None and trial is not reference:
                told.append(f"{words}: {_told(trial)}")
        return (
            f"Type-token ratio of {reference.measures['ttr'].n} greedy texts, {self.base['ttr'].value:.3f} before "
            f"training. {'; '.join(told)}.{self._reached()}{self._saving()}{self._best()}"
        )

    def _reached(self) -> str:
        """How many trainings came to near-zero loss; without it a model is not hyperfitted."""
        trials = [trial for trial in self.trials if trial.equal != "time"]
        reached = sum(trial.train_loss <= NEAR_ZERO for trial in trials)
        return (
            f" {reached} of the {len(trials)} trainings without a limit of time came to near-zero loss ({NEAR_ZERO})."
            f"{self._fewest()}"
        )

    def _fewest(self) -> str:
        """The smallest numbers of last blocks with which training came to near-zero loss."""
        said = []
        for words, where in CURVES:
            counts = {e: [len(t.blocks) for t in self._swept(where, e) if t.train_loss <= NEAR_ZERO] for e in TIMES}
            if counts["rank"]:
                timed = f" ({min(counts['time'])} at equal time)" if counts["time"] else " (none at equal time)"
                said.append(f"{min(counts['rank'])} {words}{timed}")
        return f" The fewest last blocks with which it did: {', '.join(said)}." if said else ""

    def _swept(self, where: tuple[Place, ...], equal: Equal) -> list[Measured]:
        """The trials in those places with so much equal, the reference among them, without those that diverged."""
        return [
            trial
            for trial in self.trials
            if trial.place in where and (trial.equal == equal or trial is self.trials[0]) and trial.measures
        ]

    def _saving(self) -> str:
        """How many parameters the reference saves."""
        whole = self.trials[0].rank is None
        everywhere = self.find("full", "rank") if whole else self.find("last", "rank", self.depth)
        if everywhere is None or self.late == self.depth:
            return ""
        saved = 1 - self.trials[0].parameters / everywhere.parameters
        all_of_it = "the whole model has" if whole else "adapters in all blocks"
        return f" The last {self.late} train {saved:.1%} fewer parameters than {all_of_it}."

    def _best(self) -> str:
        """The number of last blocks with the highest ratio, whatever is equal."""
        kinds: tuple[Equal, ...] = ("rank", "parameters", "time")
        said = []
        for words, where in CURVES:
            best = []
            for equal in kinds:
                swept = self._swept(where, equal)
                if not swept:
                    continue
                top = max(swept, key=lambda trial: trial.measures["ttr"].value)
                off = top.ttr_difference
                apart = (
                    ""
                    if off is None or top is self.trials[0]
                    else f", {off.value:+.3f} [{off.low:+.3f}, {off.high:+.3f}]"
                )
                of = "epochs" if equal == "rank" and top.rank is None else equal
                best.append(f"{len(top.blocks)} at equal {of} ({top.measures['ttr'].value:.3f}{apart})")
            if best:
                said.append(f"{words} for {', '.join(best)}")
        return f" Of the numbers of last blocks that were tried, the ratio is highest {'; '.join(said)}."


def _told(trial: Measured) -> str:
    known, off = trial.measures["ttr"], trial.ttr_difference
    apart = f", {off.value:+.3f} [{off.low:+.3f}, {off.high:+.3f}]" if off is not None and off.value != 0 else ""
    ended = f"(loss {trial.train_loss:.3f}, epoch {trial.epochs})"
    return f"{known.value:.3f} [{known.low:.3f}, {known.high:.3f}]{apart} {ended}"


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
