"""What the study of placement gave: every trial with its measures, beside base model and human text."""

from dataclasses import dataclass

from hyperfit.metrics.estimate import Estimate
from hyperfit.studies.placement.design import Equal, Place


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
    goal: float
    """Training loss, nats per token, at which a trial counts as hyperfitted."""
    base: dict[str, Estimate]
    human: dict[str, Estimate]
    trials: list[Measured]
    """The reference first."""

    def find(self, place: Place, equal: Equal, blocks: int | None = None) -> Measured | None:
        """The trial of that kind, if it was trained and did not diverge."""
        found = (
            trial
            for trial in self.trials
            if (trial.place, trial.equal) == (place, equal) and len(trial.blocks) == (blocks or len(trial.blocks))
        )
        return next((trial for trial in found if trial.measures), None)
