"""Study: are the promoted tokens enough? Their mean logit shift, injected into the base model at growing strength."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.mechanism.bias.static_bias import MOST_POSITIONS, By, Centre, Promotion, StaticBias, promotion
from hyperfit.mechanism.pair.continuations import Continuing, continued, diversity, diversity_by_text, words_after
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate, estimate
from hyperfit.metrics.text.words import Lexicon
from hyperfit.numbers import RATIO, figures
from hyperfit.runs.json_values import json_values


@dataclass(frozen=True, kw_only=True)
class Injection:
    """What is injected, and how strongly."""

    alphas: tuple[float, ...] = (-0.5, -0.1, 0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
    """Strengths: 0 is the base model, 1 the whole mean shift, below 0 the opposite."""
    counts: tuple[int, ...] = (50, 500, 5000)
    """How many of the most promoted tokens; one above the vocabulary is left out."""
    control_count: int = 500
    """How many random tokens get the shifts of as many promoted ones."""
    by: By = "rank"
    """What rising is measured in: rank, or its logarithm."""
    centre: Centre = "mean"
    """What a shift of 0 is; see hyperfit.mechanism.bias.promotion."""
    most_positions: int = MOST_POSITIONS
    """Positions on which ranks and shifts are taken."""
    seed: int = 0
    """Of the random tokens."""

    def __post_init__(self) -> None:
        problems = []
        if not all(math.isfinite(alpha) for alpha in self.alphas) or len(set(self.alphas)) < 3:
            problems.append(f"alphas {self.alphas}: give three or more different finite numbers")
        problems += [
            f"{name} {value}: give at least 1"
            for name, value in (
                ("counts", min(self.counts, default=1)),
                ("control_count", self.control_count),
                ("most_positions", self.most_positions),
            )
            if value < 1
        ]
        if problems:
            raise UserError(*problems)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Greedy texts of the base model under one bias at every strength."""

    tokens: int
    """How many have their logits shifted."""
    diversity: dict[float, dict[str, Estimate]]
    """alpha → measure → mean over texts."""
    spearman: Estimate
    """Rank correlation of alpha with the mean type-token ratio, over alpha of 0 and above, in [-1, 1]."""
    spearman_all: Estimate
    """The same over every alpha."""


@dataclass(frozen=True, kw_only=True)
class BiasInjection:
    """Diversity against the strength of a static bias."""

    settings: Injection
    curves: dict[str, Curve]
    """``promoted K``, ``random K`` (the same shifts on random tokens), ``all`` (the whole mean shift)."""
    hyperfitted: dict[str, Estimate]
    """Greedy texts of the tuned model, by measure."""
    promoted: list[str]
    """The most promoted tokens as text, the first most."""
    positions: int
    """On which ranks and shifts were taken."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """The finding in numbers."""
        told = []
        for name, curve in self.curves.items():
            ttr = {alpha: measures["ttr"].value for alpha, measures in curve.diversity.items()}
            best = max(ttr, key=lambda alpha: -math.inf if math.isnan(ttr[alpha]) else ttr[alpha])
            rho = curve.spearman
            told.append(
                f"{name} tokens: TTR at best {RATIO.told(ttr[best])} (α {figures(best)}), ρ {RATIO.within(rho)} over "
                "α ≥ 0"
            )
        first = next(iter(self.curves.values())).diversity
        before = f"{RATIO.told(first[0.0]['ttr'].value)} without a bias, " if 0.0 in first else ""
        return (
            f"Greedy TTR of the base model: {before}{RATIO.told(self.hyperfitted['ttr'].value)} hyperfitted. "
            f"With a static bias: {'; '.join(told)}."
        )


def bias_injection(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing | None = None,
    injection: Injection | None = None,
    *,
    lexicon: Lexicon | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> BiasInjection:
    """Inject the promoted tokens' mean shift, and two controls, into greedy decoding of the base model.

    Ranks and shifts come from int64[texts, length] behind each context. Source: study 2 of Li et al. (2026): K = 500,
    alpha from .01 to .5, Spearman's ρ of alpha with quality -.94; that the shift is 0 for other tokens is inferred. The
    controls, other K and alphas of 0 and below go beyond it. lexicon: what counts as a word; None leaves their
    share undefined. advance: called with the number of texts written, once for each alpha of each curve but 0, which
    is written once for all, and once for the tuned model.
    """
    settings, injection = settings or Continuing(), injection or Injection()
    seen = promotion(
        pair, texts, skip=settings.context, centre=injection.centre, most_positions=injection.most_positions
    )
    words = words_after(tokenizer, texts[:, : settings.context], lexicon)
    plainly = diversity_by_text(continued(pair, "base", tokenizer, texts, settings, advance=advance), words)
    curves = {}
    for name, (tokens, shifts) in biases(seen, injection).items():
        values = {}
        for alpha in injection.alphas:
            if alpha == 0:
                values[alpha] = plainly
                continue
            bias = StaticBias(tokens, shifts, alpha)
            written = continued(pair, "base", tokenizer, texts, settings, processors=[bias], advance=advance)
            values[alpha] = diversity_by_text(written, words)
        curves[name] = curve(len(tokens), values)
    return BiasInjection(
        settings=injection,
        curves=curves,
        hyperfitted=diversity(continued(pair, "tuned", tokenizer, texts, settings, advance=advance), words),
        promoted=[str(tokenizer.decode([token])) for token in seen.promoted(20, injection.by).tolist()],
        positions=seen.n,
    )


def biases(seen: Promotion, injection: Injection) -> dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Name of each curve → (int64[count] tokens, float64[count] shifts)."""
    vocabulary = len(seen.shift)
    found: dict[str, tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
    for count in injection.counts:
        if count <= vocabulary:
            tokens = seen.promoted(count, injection.by)
            found[f"promoted {count}"] = tokens, seen.shift[tokens]
    count = min(injection.control_count, vocabulary)
    shifts = seen.shift[seen.promoted(count, injection.by)]
    found[f"random {count}"] = np.random.default_rng(injection.seed).permutation(vocabulary)[:count], shifts
    found["all"] = np.arange(vocabulary), seen.shift
    return found


def curve(tokens: int, values: dict[float, dict[str, NDArray[np.float64]]]) -> Curve:
    """Means and rank correlations from alpha → measure → float64[texts]."""
    alphas = np.array(list(values), np.float64)
    ratios = np.array([measures["ttr"] for measures in values.values()])
    return Curve(
        tokens=tokens,
        diversity={
            alpha: {name: estimate(rows) for name, rows in measures.items()} for alpha, measures in values.items()
        },
        spearman=spearman(alphas[alphas >= 0], ratios[alphas >= 0]),
        spearman_all=spearman(alphas, ratios),
    )


def spearman(alphas: NDArray[np.float64], values: NDArray[np.float64]) -> Estimate:
    """Spearman's ρ of float64[alphas] with the mean over texts of float64[alphas, texts], in [-1, 1].

    Texts are resampled, the same for every alpha (2,000 times, fixed seed), and the curve's ρ taken anew: percentiles.
    Texts that are undefined at any alpha are left out; NaN for a flat curve or fewer than two alphas. A ρ of few alphas
    takes few values.
    """
    values = values[:, ~np.isnan(values).any(axis=0)]
    n = values.shape[1]
    if n == 0 or len(alphas) < 2:
        return Estimate(math.nan, math.nan, math.nan, n)
    value = float(_rank_correlation(alphas, values.mean(axis=1)[None])[0])
    chosen = np.random.default_rng(0).integers(n, size=(RESAMPLES, n))
    resampled = _rank_correlation(alphas, np.stack([row[chosen].mean(axis=1) for row in values], axis=1))
    resampled = resampled[~np.isnan(resampled)]
    if n == 1 or not len(resampled):
        return Estimate(value, math.nan, math.nan, n)
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), n)


def _rank_correlation(alphas: NDArray[np.float64], curves: NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[curves] from float64[curves, alphas]; NaN where a curve is flat."""
    across = rankdata(alphas) - (len(alphas) + 1) / 2
    along = rankdata(curves, axis=1) - (len(alphas) + 1) / 2
    with np.errstate(invalid="ignore"):
        return np.asarray(along @ across / np.sqrt((along**2).sum(1) * (across**2).sum()), np.float64)
