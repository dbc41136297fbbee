"""How far annotators agree with each other beyond chance."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics.clusters import Floats
from hyperfit.prefer.statistics.shares import CHOICES, grouped


def fleiss_kappa(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> Estimate:
    """Fleiss' κ of the choices: at most 1, 0 for chance; n counts items.

    κ = (P̄ − P_e) / (1 − P_e), P̄ the mean share of agreeing pairs of judgements of an item, P_e = Σ p_c² (Fleiss, 1971,
    Psychological Bulletin 76, 378–382). It is of items that were judged equally often: those with the commonest number
    of judgements, 2 or more. NaN where there are none, or all chose the same throughout.
    """
    items, contexts = rated(judgements)
    times = Counter(int(row.sum()) for row in items)
    if not times:
        return Estimate(math.nan, math.nan, math.nan, 0)
    usual = max(times, key=lambda count: (times[count], count))
    kept = [place for place, row in enumerate(items) if row.sum() == usual]
    counts = items[kept]
    agreeing = (counts * (counts - 1)).sum(axis=1) / (usual * (usual - 1))
    features = np.column_stack([agreeing, np.ones(len(kept)), counts])

    def kappa(sums: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            observed = sums[:, 0] / sums[:, 1]
            shares = sums[:, 2:] / sums[:, 2:].sum(axis=1, keepdims=True)
            chance = (shares**2).sum(axis=1)
            return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)

    return over_contexts(features, [contexts[place] for place in kept], kappa, resamples)


def krippendorff_alpha(judgements: Sequence[Judgement], *, resamples: int = RESAMPLES) -> Estimate:
    """Krippendorff's α of the choices as names: at most 1, 0 for chance; n counts items.

    α = 1 − (n − 1) Σ_{c≠k} o_ck / Σ_{c≠k} n_c n_k, with the coincidences o_ck = Σ_items n_c (n_k − [c = k]) / (m − 1)
    (Krippendorff, 2011, Computing Krippendorff's Alpha-Reliability). Items may be judged differently often; those
    judged once are left out. NaN where none is left, or all chose the same throughout.
    """
    items, contexts = rated(judgements)
    if not len(items):
        return Estimate(math.nan, math.nan, math.nan, 0)
    times = items.sum(axis=1, keepdims=True)
    differing = ((times**2 - (items**2).sum(axis=1, keepdims=True)) / (times - 1))[:, 0]
    features = np.column_stack([differing, items])

    def alpha(sums: Floats) -> Floats:
        n = sums[:, 1:].sum(axis=1)
        chance = n**2 - (sums[:, 1:] ** 2).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(chance > 0, 1 - (n - 1) * sums[:, 0] / chance, np.nan)

    return over_contexts(features, contexts, alpha, resamples)


def rated(judgements: Sequence[Judgement]) -> tuple[Floats, list[str]]:
    """(float[items, 3] counts by choice, each item's context) of the items that were judged twice or more."""
    groups = [rows for rows in grouped(judgements, lambda one: one.item).values() if len(rows) > 1]
    counts = [[sum(row.choice == choice for row in rows) for choice in CHOICES] for rows in groups]
    return np.asarray(counts, dtype=np.float64).reshape(-1, len(CHOICES)), [rows[0].context for rows in groups]


def over_contexts(
    features: Floats, contexts: Sequence[str], statistic: Callable[[Floats], Floats], resamples: int
) -> Estimate:
    """A statistic of sums over items, with its percentile interval over resampled contexts.

    Annotators are not resampled: one who is drawn twice would agree with himself.
    """
    _, codes = np.unique(np.asarray(contexts), return_inverse=True)
    sums = np.zeros((int(codes.max()) + 1, features.shape[1]))
    np.add.at(sums, codes, features)
    value = float(statistic(sums.sum(axis=0)[None])[0])
    count = len(sums)
    if count < 2 or math.isnan(value):
        return Estimate(value, math.nan, math.nan, len(features))
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=resamples)
    found = statistic(drawn @ sums)
    tail = (1 - LEVEL) / 2
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), len(features))
