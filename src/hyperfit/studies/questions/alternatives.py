"""Nobody has it: what a user would do instead, on the same model, data and contexts; where hyperfitting loses."""

from dataclasses import replace

from hyperfit.numbers import RATIO
from hyperfit.studies.grid.results import BASE, HUMAN, Results
from hyperfit.studies.questions.early_stop import EARLY, best_epoch
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Findings, Study, Table, Trial
from hyperfit.studies.words import answer

HYPERFITTED = "hyperfitted"
BASES = (
    "greedy",
    "repetition-penalty",
    "no-repeat-ngram",
    "nucleus",
    "nucleus:top_p=0.95,temperature=1",
    "min-p",
    "contrastive",
)
TUNED = ("greedy", "min-p", "repetition-penalty")
"""How the trained models of the table write."""
MEASURES = (
    "ttr",
    "trigram_repetition",
    "loop_share",
    "word_share",
    "self_bleu",
    "longest_overlap",
    "long_overlap_share",
    "perplexity",
)


def trials(settings: StudySettings) -> list[Trial]:
    """Hyperfitted, and stopped at the best validation loss."""
    recipe = replace(settings.recipe, probe_every=1, greedy_every=1, probe_texts=12, keep_every=1)
    return [Trial(HYPERFITTED, recipe), Trial(EARLY, recipe, epoch=best_epoch)]


def decodings(settings: StudySettings) -> tuple[str, ...]:
    """Greedy, and what one would do with the base model."""
    return BASES


def tell(results: Results) -> Findings:
    """What beats hyperfitted greedy text in which measure."""
    ways = [(BASE, way) for way in BASES] + [(label, way) for label in results.labels for way in TUNED]
    rows = [results.row(label, MEASURES, way, name=f"{label}, {way}") for label, way in ways]
    table = Table("alternatives", "What one would do instead", [*rows, results.row(HUMAN, MEASURES)], MEASURES)
    if HYPERFITTED not in results.labels:
        return Findings("Not shown", "No training came to its end.", [table])
    ours = results.estimate(HYPERFITTED, "ttr")
    others = [(label, way) for label, way in ways if label != HYPERFITTED]
    gaps = {
        (label, way): results.gap((HYPERFITTED, "greedy"), (label, way), "ttr", comparisons=len(others))
        for label, way in others
    }
    ahead = [name for name, gap in gaps.items() if answer(gap) == "Yes"]
    behind = [f"{label}, {way} ({RATIO.told(-gap.value, '+')})" for (label, way), gap in gaps.items() if gap.high < 0]
    verdict: Answer = "Not shown" if ours.n == 0 else "Yes" if len(ahead) == len(gaps) else "Partly" if ahead else "No"
    return Findings(
        verdict,
        f"Hyperfitted greedy text has a type-token ratio of {RATIO.told(ours.value)}, above {len(ahead)} of "
        f"{len(gaps)} "
        "alternatives "
        f"(intervals hold for all at once). More varied than it: {'; '.join(behind) or 'none'}. A ratio is no "
        "quality: read "
        "them, and see words, likeness to each other (self-BLEU) and copying in the table.",
        [table],
    )


ALTERNATIVES = Study(
    name="alternatives",
    question="Is hyperfitted greedy text more varied than what one would do instead?",
    source="not in the papers",
    trials=trials,
    tell=tell,
    decodings=decodings,
    method="The base model under the decodings that people use against loops, and the same fine-tuning stopped "
    "at its best "
    "validation loss, against the hyperfitted model, on the same contexts.",
)
