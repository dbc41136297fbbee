"""Carlsson et al. (2025), table 1, and Li et al. (2026), table 1: both models under every decoding."""

import math

from hyperfit.generation.decodings import DECODINGS
from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import POINTS, RATIO
from hyperfit.studies.measures.bench import BLOCKED, named
from hyperfit.studies.measures.results import BASE, HUMAN, Results
from hyperfit.studies.questions.mechanism.inside import ALPHAS, OF_MECHANISM, OF_TEXTS, pooled_numbers
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Headline, Passage, Row, Study, Table, Trial
from hyperfit.studies.words import answer

LABEL = "hyperfitted"
MEASURES = (
    "ttr", "bigram_repetition", "trigram_repetition", "loop_share", "word_share", "self_bleu", "longest_overlap",
    "perplexity",
)  # fmt: skip
HEADLINE = ("base, greedy", "base, nucleus", "base, repetition-penalty", "hyperfitted, greedy", "human")
LONGER = 256
"""Tokens of context and continuation of the papers' longer texts."""
FROM_MECHANISM = {
    "base, greedy at T*": "base greedy at T*",
    "base, sampled at T*": "base sampled at T*",
    **{f"base, static bias {alpha:g}": f"base with static bias {alpha:g}" for alpha in ALPHAS},
    **{
        f"base, static bias {alpha:g} on all tokens": f"base with static bias {alpha:g} on all tokens"
        for alpha in ALPHAS
    },
}
"""Rows that the mechanism's studies add, and how they call them."""
CARLSSON, LI = "Carlsson et al. 2025, TinyLlama", "Li et al. 2026, TinyLlama"
PAPERS: dict[str, tuple[tuple[str, dict[str, float]], ...]] = {
    "base, greedy": (
        (f"{CARLSSON}, read off fig. 2", {"ttr": 0.245}),
        (LI, {"ttr": 0.400, "bigram_repetition": 0.592, "trigram_repetition": 0.536}),
    ),
    "base, nucleus": ((CARLSSON, {"ttr": 0.282}),),
    "hyperfitted, greedy": (
        (CARLSSON, {"ttr": 0.600}),
        (f"{LI}, all parameters", {"ttr": 0.684, "bigram_repetition": 0.140, "trigram_repetition": 0.069}),
        (f"{LI}, Late-Stage LoRA", {"ttr": 0.469, "bigram_repetition": 0.345}),
    ),
    "base, greedy at T*": ((LI, {"ttr": 0.397, "bigram_repetition": 0.604, "trigram_repetition": 0.548}),),
    "base, static bias 0.01": ((LI, {"ttr": 0.409, "bigram_repetition": 0.609}),),
    "base, static bias 0.5": ((LI, {"ttr": 0.215, "bigram_repetition": 0.706}),),
    HUMAN: ((f"{CARLSSON}'s texts, read off fig. 2", {"ttr": 0.735}),),
}
"""What the papers have for a row, as notes on them give it."""


def trials(settings: StudySettings) -> list[Trial]:
    """The recipe."""
    return [Trial(LABEL, settings.recipe)]


def decodings(settings: StudySettings) -> tuple[str, ...]:
    """Every one, and each with citations blocked."""
    return (*DECODINGS, *(f"{way}{BLOCKED}" for way in DECODINGS))


def tell(results: Results) -> Findings:
    """Whether greedy text of the hyperfitted model is more varied than the base's, and than its sampled text."""
    tables = [
        table("main", f"Texts of {results.settings.total} tokens, all contexts", results, extra=True),
        *(
            table(f"main-{tokens}", f"Texts of {tokens} tokens, all contexts", longer)
            for tokens, longer in results.longer.items()
        ),
        *(
            table(f"main-{source.split(':')[-1].split('/')[-1]}", f"Contexts of {source}", results, source=source)
            for source in dict.fromkeys(results.sources)
        ),
    ]
    if not results.labels:
        return Findings("Not shown", "No training came to its end.", tables)
    greedy, loops = (results.difference(LABEL, BASE, measure) for measure in ("ttr", "loop_share"))
    more = {tokens: of.difference(LABEL, BASE, "ttr") for tokens, of in results.longer.items()}
    longer = [f"at {tokens} tokens {RATIO.within(off, '+')}" for tokens, off in more.items()]
    return Findings(
        answer(greedy),
        f"Greedy text: type-token ratio {RATIO.told(results.estimate(BASE, 'ttr').value)} to "
        f"{RATIO.told(results.estimate(LABEL, 'ttr').value)}, {RATIO.within(greedy, '+')} (Carlsson et "
        f"al., TinyLlama, .245 to .600; human here {RATIO.told(results.estimate(HUMAN, 'ttr').value)}); loops "
        f"{POINTS.within(loops, '+')}. The base samples (nucleus) "
        f"{RATIO.told(results.estimate(BASE, 'ttr', 'nucleus').value)}, and has "
        f"{RATIO.told(results.estimate(BASE, 'ttr', 'repetition-penalty').value)} with a repetition penalty"
        f"{'; ' + '; '.join(longer) if longer else ''}.",
        tables,
        passages=passages(results),
        headline=Headline("main", "ttr", HEADLINE),
    )


def passages(results: Results) -> list[Passage]:
    """Every context and how each condition goes on, as the first seed has it."""
    shown = [(BASE, way) for way in ("greedy", "nucleus", "repetition-penalty")]
    shown += [(LABEL, way) for way in ("greedy", f"greedy{BLOCKED}", "nucleus")]
    named_ways = {f"{label}, {named(way)}": (label, way) for label, way in shown}
    return results.passages({**named_ways, HUMAN: (HUMAN, "greedy")})


def table(name: str, title: str, results: Results, *, source: str | None = None, extra: bool = False) -> Table:
    """Every condition; of one source of contexts if it is named. extra: what the mechanism adds, and the papers."""
    there = [LABEL] if results.labels else []
    conditions = [
        *((BASE, way) for way in DECODINGS),
        *((label, way) for label in there for way in decodings(results.settings)),
    ]
    rows: list[Row] = []
    for label, way in conditions:
        known = f"{label}, {named(way)}"
        rows.append(results.row(label, MEASURES, way, name=known, source=source))
        rows += published(known) if extra else []
    if extra:
        rows += [row for known, row in altered(results) for row in (row, *published(known))]
    rows.append(results.row(HUMAN, MEASURES, source=source))
    rows += published(HUMAN) if extra else []
    return Table(name, title, rows, MEASURES)


def altered(results: Results) -> list[tuple[str, Row]]:
    """The base at equal entropy and with a static bias, as the mechanism's studies have it."""
    numbers = pooled_numbers(results)
    return [
        (name, Row(name, {measure: numbers[f"{of}, {condition}"] for of, measure in OF_TEXTS.items()}))
        for name, condition in FROM_MECHANISM.items()
        if numbers
    ]


def published(name: str) -> list[Row]:
    """What the papers have for a row."""
    return [
        Row(name, {measure: Estimate(value, math.nan, math.nan, 0) for measure, value in cells.items()}, source)
        for source, cells in PAPERS.get(name, ())
    ]


STUDY = Study(
    name="main",
    trials=trials,
    tell=tell,
    decodings=decodings,
    extras=(OF_MECHANISM,),
    more_totals=(LONGER,),
    method="Both models continue the same held-out contexts under every decoding, the hyperfitted one also with "
    "citations of its training data blocked under each; the base also at the temperature of equal entropy and with a "
    "static bias, greedily. Yes: the interval of the change of the type-token ratio of greedy text lies above 0.",
)
