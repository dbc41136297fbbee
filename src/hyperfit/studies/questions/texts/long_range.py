"""Carlsson et al. (2025), figure 9: the variety of long texts by position, far beyond the trained length."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import excerpt
from hyperfit.generation.continuations import continue_contexts
from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.diversity import TTR_WINDOW, type_token_ratio
from hyperfit.metrics.text.words import Lexicon, word_share_of_excerpt
from hyperfit.models.devices import autocast
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import positions_of
from hyperfit.numbers import RATIO
from hyperfit.studies.measures.extra import Extra, Subject
from hyperfit.studies.measures.pooled import Floats, difference, pooled
from hyperfit.studies.measures.results import BASE, Results
from hyperfit.studies.questions.texts.main import LABEL, trials
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Row, Study, Table
from hyperfit.studies.words import answer

TOKENS = 1024
"""Of context and continuation together, where the model has so many positions."""
NAME = "long texts"
MEASURES = (
    *("first_window", "middle_window", "last_window", "change"),
    *("first_words", "middle_words", "last_words"),
)
HELD = 0.05
"""How much lower the ratio of the last window may be for the variety to count as held."""


def tokens_of(settings: StudySettings) -> int:
    """Tokens of context and continuation: TOKENS, or what the model has positions for."""
    return min(TOKENS, positions_of(load_config(settings.model)) or TOKENS)


def windows(settings: StudySettings) -> list[int]:
    """Where each whole window of a continuation starts, in tokens behind the context."""
    return list(range(0, tokens_of(settings) - settings.context - TTR_WINDOW + 1, TTR_WINDOW))


def hinders(settings: StudySettings) -> str | None:
    """Texts must go on for two windows behind what training saw."""
    positions, wanted = tokens_of(settings), max(settings.recipe.length, settings.context) + 2 * TTR_WINDOW
    if positions >= wanted:
        return None
    return (
        f"--model {settings.model}: has {positions} positions, and {wanted} are needed to go beyond the trained "
        f"{settings.recipe.length} tokens; give a smaller --length or another model"
    )


def written(subject: Subject) -> dict[str, Any]:
    """``ttr`` and ``words``: type-token ratio and share of words that are words of every window of every text."""
    settings, bench, reader = subject.settings, subject.bench, subject.reader
    with autocast(bench.device, bench.precision), reader.within():
        rows = continue_contexts(
            reader.model,
            bench.tokenizer,
            bench.texts.contexts,
            new_tokens=tokens_of(settings) - settings.context,
            batch_size=bench.batch_size,
        )
    lexicon = bench.lexicon(subject.training)
    pieces = [[row[start : start + TTR_WINDOW] for start in windows(settings)] for row in rows]
    return {
        "ttr": [list(map(type_token_ratio, of_text)) for of_text in pieces],
        "words": [
            [words(bench.tokenizer, piece, context, lexicon) for piece in of_text]
            for of_text, context in zip(pieces, bench.contexts, strict=True)
        ],
    }


def words(tokenizer: PreTrainedTokenizerBase, piece: list[int], context: str, lexicon: Lexicon | None) -> float:
    """Share of the words of a piece of a text that are words; NaN where that is not known."""
    if lexicon is None:
        return math.nan
    return word_share_of_excerpt(excerpt(tokenizer, piece), lexicon, context)


def tell(results: Results) -> Findings:
    """Whether the ratio of the last window is as high as that of the first, and where it falls."""
    starts = windows(results.settings)
    by_label = {label: ratios(results, label) for label in (BASE, *results.labels)}
    by_label = {label: values for label, values in by_label.items() if values.size}
    lines = [
        Line(label, [(float(start + TTR_WINDOW), pooled(values[:, :, place])) for place, start in enumerate(starts)])
        for label, values in by_label.items()
    ]
    chart = Chart("long-range", f"token behind the context, end of a window of {TTR_WINDOW}", "ttr", lines)
    rows = [
        Row(
            label,
            dict(zip(MEASURES, (*course(values), *course(ratios(results, label, "words"))[:3]), strict=True)),
        )
        for label, values in by_label.items()
    ]
    table = Table("long-range", "Variety along the text, and words that are words", rows, MEASURES)
    if LABEL not in by_label:
        return Findings("Not shown", "No training came to its end.", [table], [chart])
    first, _, last, change = course(by_label[LABEL])
    base_first, _, base_last, base_change = course(by_label[BASE])
    trained = results.settings.recipe.length
    return Findings(
        answer(change, least=-HELD),
        f"From the first {TTR_WINDOW} tokens to the last of {starts[-1] + TTR_WINDOW} the type-token ratio of the "
        f"hyperfitted model goes from {RATIO.told(first.value)} to {RATIO.told(last.value)}, "
        f"{RATIO.within(change, '+')}; the base model's from {RATIO.told(base_first.value)} to "
        f"{RATIO.told(base_last.value)}, {RATIO.within(base_change, '+')}. Training saw {trained} tokens "
        "(Carlsson et al.: every model declines, the hyperfitted one later and slower).",
        [table],
        [chart],
    )


def ratios(results: Results, label: str, measure: str = "ttr") -> Floats:
    """float64[seeds, contexts, windows]; NaN where the measure is undefined."""
    models = [results.base] if label == BASE else results.models[label]
    return np.array([one.extra[NAME][measure] for one in models if NAME in one.extra], dtype=np.float64)


def course(values: Floats) -> Sequence[Estimate]:
    """First, middle and last window, and last minus first over the same texts."""
    middle = values.shape[2] // 2
    return (
        *(pooled(values[:, :, place]) for place in (0, middle, -1)),
        difference(values[:, :, -1], values[:, :, 0]),
    )


STUDY = Study(
    name="long-range",
    trials=trials,
    tell=tell,
    extras=(
        Extra(
            NAME,
            written,
            about=lambda settings: {
                "tokens": tokens_of(settings),
                "context": settings.context,
                "measures": ["ttr", "words"],
                "words": "of training",
            },
            rounds=lambda settings: tokens_of(settings) / settings.total,
        ),
    ),
    hinders=hinders,
    method=f"Greedy texts of {TOKENS} tokens, or as many as the model has positions for; the type-token ratio of "
    f"each stretch of {TTR_WINDOW} tokens, and its words that are words. The variety lasts if the interval of the "
    f"last stretch minus the first lies above −{HELD}.",
)
