"""Li et al. (2026): the studies of the mechanism, over seeds."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hyperfit.mechanism.explain import explain
from hyperfit.mechanism.pair.inputs import Models
from hyperfit.mechanism.settings import MechanismSettings
from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.numbers import PERCENT, RATIO, TENTHS
from hyperfit.studies.measures.extra import Extra, Subject
from hyperfit.studies.measures.results import Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Answer, Findings, Headline, Row, Study, Table, Trial
from hyperfit.studies.words import answer, each

LABEL = "hyperfitted"
ALPHAS = (0.01, 0.1, 0.5)
PROMOTED = 500
"""Tokens that get the bias; fewer where the vocabulary is smaller."""
NAME = "mechanism"
ROUNDS = 25
"""How often as long as a continuation of all contexts its studies take, roughly."""

Found = dict[str, Any]


def at(*path: str | int) -> Callable[[Found], Any]:
    """What lies at a place of mechanism.json's studies."""

    def find(studies: Found) -> Any:
        here: Any = studies
        for step in path:
            here = here[step]
        return here

    return find


def of_texts(measure: str, *condition: str) -> Callable[[Found], Any]:
    """A measure of the texts of a condition; None where it was not measured."""
    return lambda studies: at(*condition)(studies).get(measure)


EVERYWHERE = "bias everywhere"
"""Beside "bias": the static bias on all tokens, not only on those that rise most."""
TEXTS: dict[str, tuple[str, ...]] = {
    "base greedy": ("temperature", "diversity", "base/greedy"),
    "base greedy at T*": ("temperature", "diversity", "base/greedy at T*"),
    "base sampled at T*": ("temperature", "diversity", "base/sampling at T*"),
    "hyperfitted greedy": ("temperature", "diversity", "hyperfitted/greedy"),
    **{f"base with static bias {alpha:g}": ("bias", str(alpha)) for alpha in ALPHAS},
    **{f"base with static bias {alpha:g} on all tokens": (EVERYWHERE, str(alpha)) for alpha in ALPHAS},
}
"""Where the texts of each condition are measured."""
OF_TEXTS = {"TTR": "ttr", "bigram repetition": "bigram_repetition", "words": "word_share"}
"""What is read of them."""
LAST_BLOCK = ("geometry", "behind_context", "layers", -2)
"""The last block's output, before the final norm, at the tokens behind the contexts."""
READ: dict[str, Callable[[Found], Any]] = {
    "temperature of equal entropy, T*": at("temperature", "one", "temperature"),
    "entropy, base": at("temperature", "base_entropy"),
    "entropy, hyperfitted": at("temperature", "tuned_entropy"),
    **{
        f"{name}, {condition}": of_texts(measure, *place)
        for name, measure in OF_TEXTS.items()
        for condition, place in TEXTS.items()
    },
    "choices that override the base's first": at("ranks", "free_running", "override"),
    "choices from below rank 10": at("ranks", "free_running", "deep", "10"),
    "cosine of the last block's output": at(*LAST_BLOCK, "cosine"),
    "change of dimension at the last block's output": at(*LAST_BLOCK, "delta_dim"),
}
PAPER = {
    "temperature of equal entropy, T*": 0.59,
    "entropy, base": 2.083,
    "entropy, hyperfitted": 0.862,
    "TTR, base greedy": 0.400,
    "TTR, base greedy at T*": 0.397,
    "TTR, hyperfitted greedy": 0.684,
    "TTR, base with static bias 0.01": 0.409,
    "TTR, base with static bias 0.5": 0.215,
    "bigram repetition, base greedy": 0.592,
    "bigram repetition, base greedy at T*": 0.604,
    "bigram repetition, hyperfitted greedy": 0.140,
    "bigram repetition, base with static bias 0.01": 0.609,
    "bigram repetition, base with static bias 0.5": 0.706,
    "choices that override the base's first": 0.391,
    "choices from below rank 10": 0.129,
    "change of dimension at the last block's output": 80.8,
}
"""Li et al. (2026), TinyLlama, all parameters, as notes on the paper give it."""
SHARES = tuple(name for name in READ if name.startswith(("words,", "choices ")))
"""What is written in per cent."""


def trials(settings: StudySettings) -> list[Trial]:
    """The recipe."""
    return [Trial(LABEL, settings.recipe)]


def explained(subject: Subject) -> Found:
    """Numbers of ``hyperfit mechanism`` by the names of READ; none where texts are too short for its measures."""
    settings, run = subject.settings, subject.run
    if run is None or settings.total < settings.context + TTR_WINDOW:
        return {}
    asked = MechanismSettings(
        studies=("temperature", "bias", "ranks", "geometry"),
        contexts=settings.contexts,
        most_contexts=settings.most_contexts,
        context=settings.context,
        total=settings.total,
        alphas=(0.0, *ALPHAS),
        promoted=(PROMOTED,),
        device=str(subject.bench.device),
        precision=settings.precision,
    )
    models = Models(base=settings.model, tuned=str(run.path), output=Path(run.path), run=run)
    studies = explain(models, asked)["studies"]
    curves = studies["bias"]["curves"]
    promoted = next((curve for name, curve in curves.items() if name.startswith("promoted")), curves["all"])
    known = {**studies, "bias": promoted["diversity"], EVERYWHERE: curves["all"]["diversity"]}
    return {name: find(known) for name, find in READ.items()}


def over_seeds(found: Sequence[Any]) -> Estimate:
    """Mean over seeds; from the lowest to the highest end of their intervals, or of their values where they have none.

    Wider than an interval of the mean: it covers every seed's.
    """
    values = [one["value"] if isinstance(one, dict) else one for one in found]
    lows = [one["low"] if isinstance(one, dict) else one for one in found]
    highs = [one["high"] if isinstance(one, dict) else one for one in found]
    if not values or any(value is None for value in (*values, *lows, *highs)):
        return Estimate(math.nan, math.nan, math.nan, 0)
    return Estimate(sum(values) / len(values), min(lows), max(highs), len(values))


def pooled_numbers(results: Results) -> dict[str, Estimate]:
    """Every number of READ over the seeds; empty where none was found."""
    seeds = [one.extra.get(NAME) for one in results.models.get(LABEL, [])]
    known = [one for one in seeds if one]
    return {name: over_seeds([one[name] for one in known]) for name in READ} if known else {}


def tell(results: Results) -> Findings:
    """Whether temperature and static bias fall short of hyperfitting, and the space of the last block grows."""
    numbers = pooled_numbers(results)
    if not numbers:
        return Findings("Not shown", "No training came to its end, or texts are too short for the measures.")
    shares = {name: numbers[name] for name in SHARES}
    plain = {name: value for name, value in numbers.items() if name not in SHARES}
    ours, cold = numbers["TTR, hyperfitted greedy"], numbers["TTR, base greedy at T*"]
    biased = [numbers[f"TTR, base with static bias {alpha:g}"] for alpha in ALPHAS]
    everywhere = [numbers[f"TTR, base with static bias {alpha:g} on all tokens"] for alpha in ALPHAS]
    bias, wide = (max(known, key=lambda one: one.high) for known in (biased, everywhere))
    nothing = ", which changes no text here" if {*biased} == {numbers["TTR, base greedy"]} else ""
    wider = numbers["change of dimension at the last block's output"]
    override = numbers["choices that override the base's first"]
    return Findings(
        each((above(ours, cold), above(ours, bias), above(ours, wide), answer(wider))),
        f"Hyperfitted greedy text has a type-token ratio of {RATIO.within(ours)}; the base at the "
        f"temperature of equal entropy {RATIO.within(cold)}, with a static bias at most {RATIO.within(bias)}{nothing}, "
        f"with one on all tokens {RATIO.within(wide)}. "
        f"{PERCENT.told(override.value)} of choices are not the base's first, and the dimension of the last block's "
        f"output changes by {TENTHS.within(wider, '+')} (Li et al., TinyLlama: .684, .397, .409, 39 %, "
        "+80.8).",
        [
            beside_paper("mechanism", "The mechanism, over seeds", plain, ("ours", "paper")),
            beside_paper("mechanism-shares", "Shares of words and choices", shares, ("ours_share", "paper_share")),
        ],
        headline=Headline(
            "mechanism", "ours", tuple(name for name in numbers if name.startswith("TTR")), "type-token ratio"
        ),
    )


def beside_paper(name: str, title: str, numbers: dict[str, Estimate], measures: tuple[str, str]) -> Table:
    """Ours and the paper's, as a table."""
    ours, paper = measures
    rows = [
        Row(of, {ours: value, paper: Estimate(PAPER.get(of, math.nan), math.nan, math.nan, 0)})
        for of, value in numbers.items()
    ]
    return Table(name, title, rows, measures, "seeds")


def above(one: Estimate, other: Estimate) -> Answer:
    """Whether one is larger: Yes or No where the ranges of the seeds do not meet."""
    return answer(Estimate(one.value - other.value, one.low - other.high, one.high - other.low, one.n))


OF_MECHANISM = Extra(
    NAME, explained, about=lambda settings: {"numbers": [*READ]}, of_base=False, rounds=lambda settings: ROUNDS
)

STUDY = Study(
    name="mechanism",
    trials=trials,
    tell=tell,
    extras=(OF_MECHANISM,),
    method="The studies of hyperfit mechanism for every seed: the base model at the temperature of equal entropy and "
    "with a static bias, on the 500 tokens that rise most and on all, with the share of words that are words, the "
    "base's rank of every choice, and the geometry of the last block's output. A number is the mean over seeds, its "
    "range that of all seeds' intervals. Yes: the range of the hyperfitted model's type-token ratio lies above all "
    "others, and that of the change of dimension above 0.",
)
