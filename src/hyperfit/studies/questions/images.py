"""Carlsson et al. (2025), figure 8: completions of pictures from their first quarter, by both models."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hyperfit.image.completion.grid import with_unknown
from hyperfit.image.completion.written import as_text, picture_of
from hyperfit.image.settings import CompletionSettings
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT, RATIO
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Headline, Passage, Row, Study, Table, Trial
from hyperfit.studies.words import answer, each

DECODINGS = ("greedy", "nucleus")
ALL, LATE = "all parameters", "late adapters"
ORIGINAL = "the pictures themselves"
REPEATED = "row_repetition"
"""What says how much a completion repeats: runs of four pixels along its rows that are not new."""
MEASURES = (
    REPEATED, "column_repetition", "row_likeness", "row_loop_share", "colour_ttr", "colour_distance",
    "spectrum_distance", "told_apart", "nearest_training", "longest_overlap", "copied_share", "loss", "epochs",
)  # fmt: skip
TABLE = "images"


def trials(settings: StudySettings) -> Sequence[Trial]:
    """All parameters, and adapters in the last blocks, at the default rates of training."""
    recipe = replace(settings.recipe, lr=None, blocks=())
    return [
        Trial(ALL, replace(recipe, method="full", late_blocks=None)),
        Trial(LATE, replace(recipe, method="late-lora", late_blocks=None)),
    ]


def tell(results: Results) -> Findings:
    """Whether greedy completions of each hyperfitted model repeat less than the base's, where the base's repeat."""
    table = Table(TABLE, "Completions from the first quarter", rows(results), MEASURES, unit="pictures")
    if not results.labels:
        return Findings("Not shown", "No training came to its end.", [table])
    base, real = (results.estimate(one, REPEATED) for one in (BASE, HUMAN))
    excess = results.difference(BASE, HUMAN, REPEATED)
    falls = {label: results.difference(BASE, label, REPEATED) for label in results.labels}
    loops = {label: results.estimate(label, "row_loop_share") for label in (BASE, *results.labels, HUMAN)}
    numbers = (
        f"Runs of four pixels that are not new, along the rows of greedy completions: {RATIO.told(base.value)} "
        f"(the pictures themselves {RATIO.told(real.value)}); less by {listed(falls)}. The base samples (nucleus) "
        f"{RATIO.told(results.estimate(BASE, REPEATED, 'nucleus').value)}. Ending in rows that repeat: "
        f"{', '.join(f'{named(label)} {PERCENT.told(one.value)}' for label, one in loops.items())}. A classifier "
        f"tells them from the pictures themselves in {', '.join(told_apart(results))} (50 % is guessing)."
    )
    if answer(excess) != "Yes":
        why = "The base model's greedy completions are not shown to repeat more than the pictures themselves. "
        return Findings("Not shown", why + numbers, [table], passages=passages(results), headline=headline(results))
    return Findings(
        each(answer(fall) for fall in falls.values()),
        numbers,
        [table],
        passages=passages(results),
        headline=headline(results),
    )


def listed(falls: dict[str, Estimate]) -> str:
    """By how much each training lowers it."""
    return ", ".join(f"{RATIO.within(fall)} ({label})" for label, fall in falls.items())


def told_apart(results: Results) -> list[str]:
    """How often a classifier tells each model's greedy completions from the pictures themselves."""
    found = {label: results.estimate(label, "told_apart") for label in (BASE, *results.labels)}
    return [f"{PERCENT.within(one)} ({label})" for label, one in found.items()]


def named(label: str) -> str:
    """A label in a table."""
    return ORIGINAL if label == HUMAN else label


def rows(results: Results) -> list[Row]:
    """Both models under both decodings, and the pictures themselves."""
    conditions = [(label, way) for label in (BASE, *results.labels) for way in DECODINGS]
    found = [results.row(label, MEASURES, way, name=f"{label}, {way}") for label, way in conditions]
    return [*found, results.row(HUMAN, MEASURES, name=ORIGINAL)]


def headline(results: Results) -> Headline:
    """Greedy completions beside each other."""
    return Headline(TABLE, REPEATED, (*(f"{label}, greedy" for label in (BASE, *results.labels)), ORIGINAL))


def passages(results: Results) -> list[Passage]:
    """Every picture, what was given of it, and how each model completes it, as the first seed has it."""
    shown = [(f"{BASE}, {way}", results.base, way) for way in DECODINGS]
    shown += [(f"{label}, {way}", results.models[label][0], way) for label in results.labels for way in DECODINGS]
    found = []
    for place, (name, original) in enumerate(
        zip(results.contexts, results.human.written["greedy"]["texts"], strict=True)
    ):
        texts = {"given": given_of(original)}
        texts |= {label: model.written[way]["texts"][place] for label, model, way in shown}
        found.append(Passage(name, {**texts, ORIGINAL: original}))
    return found


def given_of(original: str) -> str:
    """What is given of a picture, and a chessboard for the rest, as text."""
    picture = picture_of(original)
    assert picture is not None
    given = round(CompletionSettings.share * picture.shape[0] * picture.shape[1])
    return as_text(with_unknown(np.array([picture]), given)[0], 0)[1]


STUDY = Study(
    name="images",
    trials=trials,
    tell=tell,
    decodings=lambda settings: DECODINGS,
    pictures=True,
    method="Models whose tokens are pixels complete held-out pictures from their first quarter, read row by row, as in "
    "the paper (ImageGPT). Repetition: of all runs of four pixels along the rows that were added, the share that had "
    "come before in the same completion. Yes: for all parameters and for late adapters alike the interval of the fall "
    "lies above 0, and the base's above that of the pictures themselves; how plain these are is the measure of it.",
)
