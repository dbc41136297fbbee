"""What reviewers of Carlsson et al. (2025) asked for: stopped at the best validation loss, on the same data."""

from dataclasses import replace

from hyperfit.numbers import PERPLEXITY, POINTS, RATIO, TENTHS
from hyperfit.runs.directory import RunDir
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.questions.training.curves import best
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Table, Trial
from hyperfit.studies.words import answer

EARLY, FULL = "stopped at the best validation loss", "to near-zero loss"
MEASURES = (
    "ttr",
    "bigram_repetition",
    "loop_share",
    "word_share",
    "longest_overlap",
    "perplexity",
    "entropy",
    "epochs",
)


def trials(settings: StudySettings) -> list[Trial]:
    """One training whose epochs are kept; the model of the best validation loss, and that of the end."""
    recipe = replace(settings.recipe, probe_every=1, greedy_every=1, probe_texts=12, keep_every=1)
    return [Trial(FULL, recipe), Trial(EARLY, recipe, epoch=best_epoch)]


def best_epoch(run: RunDir) -> int:
    """The epoch after which the validation loss is lowest."""
    return best(run.events("epoch"), "val_loss", min)


def tell(results: Results) -> Findings:
    """Whether going on from there gives more varied text, and at what price."""
    rows = [results.row(label, MEASURES) for label in (BASE, *results.labels, HUMAN)]
    table = Table("early-stop", "Stopped early and hyperfitted", rows, MEASURES)
    if not {EARLY, FULL} <= set(results.labels):
        return Findings("Not shown", "No training came to its end.", [table])
    off, words = (results.difference(FULL, EARLY, measure) for measure in ("ttr", "word_share"))
    return Findings(
        answer(off),
        f"From the best validation loss (epoch {TENTHS.told(results.estimate_of(EARLY, 'epochs'))} on average) to "
        f"near-zero loss ({TENTHS.told(results.estimate_of(FULL, 'epochs'))}) the type-token ratio changes by "
        f"{RATIO.within(off, '+')} and the share of words that are words by {POINTS.within(words, '+')}; perplexity "
        f"on human text goes from {PERPLEXITY.told(results.estimate(EARLY, 'perplexity').value)} to "
        f"{PERPLEXITY.told(results.estimate(FULL, 'perplexity').value)}.",
        [table],
        passages=results.passages({label: (label, "greedy") for label in (BASE, EARLY, FULL, HUMAN)}),
    )


STUDY = Study(
    name="early-stop",
    trials=trials,
    tell=tell,
    method="One training whose every epoch is kept: the model of its lowest validation loss against the one it "
    "ends with, on the same contexts. Yes: the interval of the change of the type-token ratio lies above 0.",
)
