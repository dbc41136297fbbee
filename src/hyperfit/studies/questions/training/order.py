"""Carlsson et al. (2025), figure 5: the same sequences in another order give another model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import PERCENT
from hyperfit.studies.measures.bench import agreement
from hyperfit.studies.measures.pooled import pooled
from hyperfit.studies.measures.results import BASE, HUMAN, Model, Results
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings, Headline, Row, Study, Table, Trial
from hyperfit.studies.words import answer, each

SAME, SWAP, ORDERS = "as it is", "one pair swapped", ("order 1", "order 2", "order 3")
MEASURES = ("ttr", "word_share", "longest_overlap", "perplexity", "top1_agreement_with_base")
ALIKE = 0.9
"""Share of equal likeliest tokens from which on two models count as much the same."""


def trials(settings: StudySettings) -> list[Trial]:
    """The recipe, three other orders of its sequences, and one swapped pair."""
    recipe = settings.recipe
    return [
        Trial(SAME, recipe),
        *(Trial(label, replace(recipe, order_seed=1000 + number)) for number, label in enumerate(ORDERS)),
        Trial(SWAP, replace(recipe, order_swaps=1)),
    ]


def hinders(settings: StudySettings) -> str | None:
    """Where a batch holds all sequences: in whatever order they stand, each update is the same."""
    recipe = settings.recipe
    together = recipe.batch_size * recipe.accumulate
    if recipe.samples is None or recipe.samples > together:
        return None
    return (
        f"--samples {recipe.samples}: an update reads {together} sequences, so that their order changes nothing; give "
        f"at least {together + 1}"
    )


def tell(results: Results) -> Findings:
    """Top-1 similarity of every pair of models on human text."""
    there = results.labels
    table = Table(
        "order", "Models of one recipe", [results.row(label, MEASURES) for label in (BASE, *there, HUMAN)], MEASURES
    )
    pairs = {pair: similarity(results, *pair) for pair in combinations(there, 2)}
    rows = [Row(f"{one} and {other}", {"top1_agreement": value}) for (one, other), value in pairs.items()]
    reseeded = over_seeds(results, SAME)
    rows += [Row(f"{SAME} and another seed", {"top1_agreement": reseeded})] if reseeded.n else []
    alike = Table("order-similarity", "Share of positions with the same likeliest token", rows, ("top1_agreement",))
    tables = [table, alike, matrix(there, pairs)] if pairs else [table, alike]
    others = [pairs[pair] for pair in pairs if not {SWAP} & set(pair)]
    if not others:
        return Findings("Not shown", "Fewer than two orders were trained.", tables)
    low, high = (choose(one.value for one in others) for choose in (min, max))
    apart = [Estimate(ALIKE - one.value, ALIKE - one.high, ALIKE - one.low, one.n) for one in others]
    swap = f"; with one pair swapped {PERCENT.within(pairs[SAME, SWAP])}" if (SAME, SWAP) in pairs else ""
    seeds = f"; with another seed {PERCENT.within(reseeded)}" if reseeded.n else ""
    return Findings(
        each(map(answer, apart)),
        f"Two models trained on the same sequences in another order prefer the same token at {PERCENT.told(low)} to "
        f"{PERCENT.told(high)} of positions of human text{swap}{seeds} "
        "(Carlsson et al.: about 70 %, pairs 68 to 75 %).",
        tables,
        headline=Headline("order-similarity", "top1_agreement", tuple(row.name for row in rows)),
    )


def matrix(there: Sequence[str], pairs: Mapping[tuple[str, str], Estimate]) -> Table:
    """Every model against every other, as figure 5 of the paper has it; each is wholly like itself."""
    itself = Estimate(1.0, math.nan, math.nan, next(iter(pairs.values())).n)
    rows = [
        Row(one, {other: pairs.get((one, other)) or pairs.get((other, one)) or itself for other in there})
        for one in there
    ]
    return Table("order-matrix", "The same likeliest token, % of positions", rows, tuple(there), of="top1_agreement")


def similarity(results: Results, one: str, other: str) -> Estimate:
    """Over contexts and the seeds that both have."""
    return alike_in(list(zip(*results.paired(one, other), strict=True)))


def over_seeds(results: Results, label: str) -> Estimate:
    """Of models of one recipe with different seeds, which choose the sequences, their order and new weights."""
    return alike_in(list(combinations(results.models.get(label, []), 2)))


def alike_in(pairs: Sequence[tuple[Model, Model]]) -> Estimate:
    """Share of positions at which two models' likeliest tokens are the same, over contexts and pairs of models."""
    rows = [agreement(one.predictions["choices"], other.predictions["choices"]) for one, other in pairs]
    return pooled(np.array(rows)) if rows else Estimate(math.nan, math.nan, math.nan, 0)


STUDY = Study(
    name="order",
    trials=trials,
    tell=tell,
    hinders=hinders,
    method="One recipe and one choice of sequences, in four random orders, and in one order with two sequences "
    "of the first epoch exchanged; the first also against itself with other seeds, which choose other sequences. "
    f"Models count as different where they agree at less than {PERCENT.told(ALIKE)} of positions.",
)
