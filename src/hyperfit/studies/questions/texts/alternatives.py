"""Nobody has it: what a user would do instead, on the same model, data and contexts; where hyperfitting loses."""

from dataclasses import replace
from math import isnan

from hyperfit.generation.decodings import Decoding
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import RATIO
from hyperfit.studies.measures.results import BASE, HUMAN, UNKNOWN, Results
from hyperfit.studies.questions.texts.prices import Condition, losses, named, scatters, told_fronts
from hyperfit.studies.questions.training.early_stop import EARLY, best_epoch
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Headline, Row, Study, Table, Trial, changed
from hyperfit.studies.words import answer, each

HYPERFITTED = "hyperfitted"
UNLIKELY = "unlikelihood, best validation loss"
UNLIKELY_LONG = "unlikelihood, to near-zero loss"
WEIGHT = 1.0
"""Of unlikelihood: what Welleck et al. (2020) take."""
NUCLEI = tuple(
    str(Decoding("nucleus", (("top_p", top_p), ("temperature", temperature))))
    for top_p in (0.9, 0.95)
    for temperature in (0.7, 1.0, 1.3)
)
"""Among which nucleus sampling is tuned; the first has the temperature of Carlsson et al. (2025)."""
OTHERS = ("greedy", "repetition-penalty", "no-repeat-ngram", "min-p", "contrastive")
TRAINED = ("greedy", "min-p", "repetition-penalty")
"""How the trained models write."""
MEASURES = (
    "ttr",
    "trigram_repetition",
    "loop_share",
    "word_share",
    "coherence",
    "mauve",
    "self_bleu",
    "longest_overlap",
    "long_overlap_share",
    "perplexity",
    "text_seconds",
)
OF_NUCLEI = ("ttr", "trigram_repetition", "loop_share", "word_share", "coherence")


def trials(settings: StudySettings) -> list[Trial]:
    """Hyperfitted, and stopped at the best validation loss; the same with unlikelihood."""
    recipe = replace(settings.recipe, probe_every=1, greedy_every=1, probe_texts=12, keep_every=1)
    unlikely = replace(recipe, unlikelihood=WEIGHT)
    return [
        Trial(HYPERFITTED, recipe),
        Trial(EARLY, recipe, epoch=best_epoch),
        Trial(UNLIKELY_LONG, unlikely),
        Trial(UNLIKELY, unlikely, epoch=best_epoch),
    ]


def tuned(results: Results) -> str:
    """The nucleus sampling of the base model whose type-token ratio is closest to people's, on these very contexts."""
    people = results.estimate(HUMAN, "ttr").value
    off = {way: abs(results.estimate(BASE, "ttr", way).value - people) for way in NUCLEI}
    return min(NUCLEI, key=lambda way: float("inf") if isnan(off[way]) else off[way])


def tell(results: Results) -> Findings:
    """What beats hyperfitted greedy text in which measure, and what nothing beats in two at once."""
    nucleus = tuned(results)
    ways: list[Condition] = [
        *((BASE, way) for way in (*OTHERS, nucleus)),
        *((label, way) for label in results.labels for way in TRAINED),
    ]
    ours: Condition = (HYPERFITTED, "greedy")
    others = [way for way in ways if way[0] != HYPERFITTED]
    known = HYPERFITTED in results.labels
    gaps = {way: results.gap(ours, way, "ttr", comparisons=len(others)) for way in others if known}
    rows = [
        changed(results.row(label, MEASURES, way, name=named((label, way))), reverse(gaps.get((label, way), UNKNOWN)))
        for label, way in ways
    ]
    measures = (MEASURES[0], "ttr_change", *MEASURES[1:])
    tables = [
        Table("alternatives", "What one would do instead", [*rows, results.row(HUMAN, MEASURES)], measures),
        Table("alternatives-nucleus", "Nucleus sampling, tuned", nuclei(results), OF_NUCLEI),
    ]
    if not known:
        return Findings("Not shown", "No training came to its end.", tables)
    said = [answer(gap) for gap in gaps.values()]
    ratio = results.estimate(*ours[:1], "ttr")
    planes = scatters(results, ways)
    return Findings(
        "Not shown" if ratio.n == 0 else each(said),
        f"Hyperfitted greedy text has a type-token ratio of {RATIO.told(ratio.value)}, above "
        f"{said.count('Yes')} of {len(gaps)} alternatives. Where it loses, by intervals that hold, measure by "
        f"measure, for all of them at once: {losses(results, ours, others)}. "
        f"{told_fronts(planes, named(ours))} Nucleus sampling is tuned to people's ratio on these contexts, which "
        f"favours it ({nucleus.partition(':')[2] or 'as it is by default'}). Seconds a text are of "
        f"{'; '.join(results.machines) or 'no machine that is known'}.",
        tables,
        passages=results.passages({named(way): way for way in (*ways, (HUMAN, "greedy"))}),
        scatters=planes,
        headline=Headline(
            "alternatives", "ttr", (*(named(way) for way in ways if way[0] == BASE or way[1] == "greedy"), HUMAN)
        ),
    )


def reverse(off: Estimate) -> Estimate:
    """The difference the other way round."""
    return Estimate(-off.value, -off.high, -off.low, off.n)


def nuclei(results: Results) -> list[Row]:
    """What was tried of nucleus sampling, and what people write."""
    rows = [results.row(BASE, OF_NUCLEI, way, name=way) for way in NUCLEI]
    return [*rows, results.row(HUMAN, OF_NUCLEI)]


STUDY = Study(
    name="alternatives",
    trials=trials,
    tell=tell,
    decodings=lambda settings: TRAINED,
    base_decodings=lambda settings: (*OTHERS, *NUCLEI),
    scored=True,
    method="The base model under the decodings that people use against loops, the same fine-tuning stopped at its best "
    "validation loss, and unlikelihood training (Welleck et al. 2020, weight 1) on the same texts, stopped at its best "
    "validation loss and by the same rule as hyperfitting, against the hyperfitted model, on the same contexts. "
    "Yes: its type-token ratio is above that of each, by intervals for all comparisons at once. "
    "Coherence is highest where a text loops: it is no quality alone.",
)
