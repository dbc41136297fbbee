"""Carlsson et al. (2025), tables 1 to 3: both models under every decoding, what is copied, how sharp they are."""

from hyperfit.numbers import POINTS, RATIO
from hyperfit.studies.grid.measure import BLOCKED
from hyperfit.studies.grid.results import BASE, HUMAN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Study, Table, Trial
from hyperfit.studies.words import answer

LABEL = "hyperfitted"
DECODINGS = ("greedy", "nucleus", "min-p", "repetition-penalty", "no-repeat-ngram")
WRITING = ("ttr", "bigram_repetition", "trigram_repetition", "loop_share", "word_share", "self_bleu", "longest_overlap")
COPYING = ("longest_overlap", "long_overlap_share", "dataset_bleu", "novel_4grams", "novel_8grams")
SHARP = ("entropy", "top1_mass", "top3_mass", "top5_mass", "perplexity", "top1_agreement_with_base")


def trials(settings: StudySettings) -> list[Trial]:
    """The recipe."""
    return [Trial(LABEL, settings.recipe)]


def decodings(settings: StudySettings) -> tuple[str, ...]:
    """What one would do, and greedily with citations blocked."""
    return (*DECODINGS, f"greedy{BLOCKED}")


def tell(results: Results) -> Findings:
    """Whether greedy text of the hyperfitted model is more varied than the base's, and than its sampled text."""
    conditions = [
        *((BASE, name) for name in DECODINGS),
        *((LABEL, name) for name in decodings(results.settings) if results.labels),
    ]
    tables = [
        Table(
            f"main-{name}",
            title,
            [
                *(results.row(label, measures, way, name=f"{label}, {way}") for label, way in conditions),
                results.row(HUMAN, measures),
            ],
            measures,
        )
        for name, title, measures in (
            ("writing", "Texts", WRITING),
            ("copying", "What stands in the training data", COPYING),
        )
    ]
    sharp = [results.row(label, SHARP) for label in (BASE, *results.labels)]
    tables.append(Table("main-sharpness", "Predictions of human text", sharp, SHARP))
    if not results.labels:
        return Findings("Not shown", "No training came to its end.", tables)
    greedy, loops = (results.difference(LABEL, BASE, measure) for measure in ("ttr", "loop_share"))
    return Findings(
        answer(greedy),
        f"Greedy text: type-token ratio {RATIO.told(results.estimate(BASE, 'ttr').value)} to "
        f"{RATIO.told(results.estimate(LABEL, 'ttr').value)}, {RATIO.within(greedy, '+')} (Carlsson et "
        "al., TinyLlama, "
        f".245 to .600; human here {RATIO.told(results.estimate(HUMAN, 'ttr').value)}); loops "
        f"{POINTS.within(loops, '+')}. The base samples (nucleus) "
        f"{RATIO.told(results.estimate(BASE, 'ttr', 'nucleus').value)}, and has "
        f"{RATIO.told(results.estimate(BASE, 'ttr', 'repetition-penalty').value)} with a repetition penalty.",
        tables,
    )


MAIN = Study(
    name="main",
    question="Does hyperfitting make greedy text more varied?",
    source="Carlsson et al. 2025, tables 1 to 3; Li et al. 2026, table 1",
    trials=trials,
    tell=tell,
    decodings=decodings,
    method="Both models continue the same held-out contexts under every decoding, the hyperfitted one also with "
    "citations of "
    "its training data blocked; both predict how people went on.",
)
