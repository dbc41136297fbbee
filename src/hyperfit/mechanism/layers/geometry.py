"""How the hidden states of the two sides differ, layer by layer, before and after the final norm."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperfit.mechanism.layers.capture import NORM, Captured, block_point
from hyperfit.mechanism.layers.covariance import (
    Batches,
    Moments,
    cross_covariance,
    effective_rank,
    linear_cka,
    moments,
    participation_ratio,
)
from hyperfit.mechanism.pair.pair import Side
from hyperfit.metrics.estimate import Estimate, estimate, paired_difference
from hyperfit.numbers import COUNT, PERCENT, style_of

Values = NDArray[np.float64]

MEASURES: dict[str, str] = {
    "cosine": "cosine of a token's two states, mean over tokens; 1 where they point the same way",
    "l2": "Euclidean distance of a token's two states, mean over tokens",
    "relative_l2": "the same, divided by the norm of the base's state",
    "norm_base": "norm of the base's states, mean over tokens",
    "norm_tuned": "norm of the tuned model's states, mean over tokens",
    "cka": "linear CKA: 1 for states equal up to rotation and scale, 0 for unrelated ones",
    "dim_base": "participation ratio of the base's covariance",
    "dim_tuned": "participation ratio of the tuned model's covariance",
    "delta_dim": "dim_tuned - dim_base",
    "dim_base_corrected": "dim_base, corrected for the finite number of texts",
    "dim_tuned_corrected": "dim_tuned, corrected for the finite number of texts",
    "delta_dim_corrected": "dim_tuned_corrected - dim_base_corrected",
    "rank_base": "effective rank of the base's covariance: exp of the entropy of its spectrum",
    "rank_tuned": "effective rank of the tuned model's covariance",
    "delta_rank": "rank_tuned - rank_base",
    "anisotropy_base": "cosine of two different tokens' states in the base, mean over all pairs",
    "anisotropy_tuned": "the same in the tuned model",
}
"""What is measured at each point. NaN where a state is zero, nothing varies, or (corrected) under 4 texts."""


@dataclass(frozen=True)
class Layer:
    """The measures at one point of the model."""

    point: str
    shared: bool
    """Both sides are the same here by construction: no trained part lies before this point."""
    per_text: dict[str, Values]
    """Measure → float64[texts], whose mean is the measure.

    For a measure of all tokens together (a covariance's) these are pseudo-values: the measure plus the first-order
    effect of the text on it (influence function; infinitesimal jackknife, Efron 1982). Their bootstrap is that of
    the measure linearised in the texts' weights.
    """

    def __getitem__(self, measure: str) -> Estimate:
        """One of MEASURES, with its interval over texts."""
        return estimate(self.per_text[measure])


@dataclass(frozen=True)
class Jump:
    """What the last block and the final norm each add to a measure."""

    measure: str
    before: Estimate
    """Before the last block."""
    block: Estimate
    """The last block's output minus that."""
    norm: Estimate
    """After the final norm minus before it; NaN for a model without one."""

    @property
    def norm_share(self) -> float:
        """The norm's part of the whole jump. Beyond [0, 1] if the two pull in opposite directions; NaN for no jump."""
        whole = self.block.value + self.norm.value
        return self.norm.value / whole if whole else math.nan

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        parts = {name: getattr(self, name).to_dict() for name in ("before", "block", "norm")}
        share = None if math.isnan(self.norm_share) else self.norm_share
        return {"measure": self.measure, **parts, "norm_share": share}


@dataclass(frozen=True)
class Geometry:
    """Every point of a model, first to last."""

    layers: tuple[Layer, ...]
    texts: int
    tokens: int
    """States at each point. A participation ratio is at most this, and biased downwards where it is not far larger
    than the ratio."""
    width: int
    depth: int
    """Blocks of the model."""

    def __getitem__(self, point: str) -> Layer:
        """The layer at a point. Raises KeyError if it was not captured."""
        return {layer.point: layer for layer in self.layers}[point]

    def jump(self, measure: str) -> Jump:
        """How much of the last jump of a measure the final norm makes, and how much the last block.

        transformers' ``hidden_states[-1]``, which Li et al. (2026) are taken to compare, is after the norm.
        """
        points = [layer.point for layer in self.layers]
        last = self[block_point(self.depth - 1)].per_text[measure]
        before = self.layers[points.index(block_point(self.depth - 1)) - 1].per_text[measure]
        after = self[NORM].per_text[measure] if NORM in points else np.full_like(last, math.nan)
        return Jump(
            measure,
            before=estimate(before),
            block=paired_difference(last.tolist(), before.tolist()),
            norm=paired_difference(after.tolist(), last.tolist()),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "texts": self.texts,
            "tokens": self.tokens,
            "width": self.width,
            "measures": MEASURES,
            "layers": [
                {
                    "point": layer.point,
                    "shared": layer.shared,
                    **{measure: layer[measure].to_dict() for measure in MEASURES},
                }
                for layer in self.layers
            ],
            "jumps": [self.jump(measure).to_dict() for measure in ("l2", "relative_l2", "delta_dim")],
        }

    def sentence(self) -> str:
        """The finding in numbers."""
        last = self[block_point(self.depth - 1)]
        own = [layer for layer in self.layers if not layer.shared]
        first = f"The sides first differ at {own[0].point}. " if own else "The sides are the same at every point. "
        said = (
            f"{first}Before the final norm, at the last block's output ({self.texts} texts, {COUNT(self.tokens)} "
            "tokens): "
            f"cosine {_said('cosine', last['cosine'])}, distance {_said('l2', last['l2'])} "
            f"({_said('relative_l2', last['relative_l2'])} of the base's "
            f"norm), participation ratio {_said('dim_base', last['dim_base'])} in the base and "
            f"{_said('dim_tuned', last['dim_tuned'])} in the "
            f"tuned model, a change of {_said('delta_dim', last['delta_dim'])}."
        )
        if NORM not in [layer.point for layer in self.layers]:
            return f"{said} This model has no final norm."
        names = {"relative_l2": "distance as a share of the base's norm", "delta_dim": "ΔDim"}
        parts = "; ".join(_split(self.jump(measure), measure, name) for measure, name in names.items())
        return (
            f"{said} After the final norm, where hidden_states[-1] of transformers is taken, the distance is "
            f"{_said('l2', self[NORM]['l2'])} and ΔDim {_said('delta_dim', self[NORM]['delta_dim'])}. Of the last "
            f"jump, {parts}."
        )


def _said(measure: str, value: Estimate) -> str:
    return style_of(measure).within(value, "+" if measure == "delta_dim" else "-")


def _split(jump: Jump, measure: str, name: str) -> str:
    block, norm = _said(measure, jump.block), _said(measure, jump.norm)
    parts = f"the last block changes the {name} by {block} and the final norm by {norm}"
    if 0 <= jump.norm_share <= 1:
        return f"{parts}, {PERCENT.told(jump.norm_share)} of the whole"
    return f"{parts}, in opposite directions" if not math.isnan(jump.norm_share) else parts


def geometry(states: Captured, *, advance: Callable[[int], None] = lambda done: None) -> Geometry:
    """Measure every captured point, one after another, so that memory holds a few width² matrices of one point.

    The states must hold the last block and a point before it. advance: called with 1 after each point.
    """
    layers = []
    for point in states.points:
        layers.append(Layer(point, point in states.shared, _measure(states, point)))
        advance(1)
    return Geometry(tuple(layers), states.texts, states.tokens, states.width, states.depth)


def _measure(states: Captured, point: str) -> dict[str, Values]:
    def side(which: Side) -> Batches:
        return lambda: states.side(which, point)

    base = tuned = moments(side("base"))
    first = second = _one_side(side("base"), base)
    if point in states.shared:
        cka = np.full(states.texts, linear_cka(base.covariance, base.covariance, base.covariance))
    else:
        tuned = moments(side("tuned"))
        second = _one_side(side("tuned"), tuned)
        cross = cross_covariance(states.both(point), base, tuned)
        mutual = _forms(states.both(point), base, tuned, [cross])[0] / float(cross.square().sum())
        own = first["square"] / float(base.covariance.square().sum())
        own += second["square"] / float(tuned.covariance.square().sum())
        cka = linear_cka(cross, base.covariance, tuned.covariance) * (1 + 2 * mutual - own)
    found = {"cka": cka, **_distances(states, point)}
    for name in ("dim", "rank", "dim_corrected", "anisotropy"):
        kind, _, rest = name.partition("_")
        end = f"_{rest}" if rest else ""
        found |= {f"{kind}_base{end}": first[name], f"{kind}_tuned{end}": second[name]}
        found[f"delta_{name}"] = second[name] - first[name]
    return {measure: found[measure] for measure in MEASURES}


def _distances(states: Captured, point: str) -> dict[str, Values]:
    """The measures that are means over tokens: float64[texts] each."""
    rows = []
    for x, y in states.both(point):
        lengths, others = x.norm(dim=-1), y.norm(dim=-1)
        cosine = ((x * y).sum(-1) / (lengths * others)).clamp(-1, 1)
        distance = (x - y).norm(dim=-1)
        rows.append(torch.stack([v.mean(1) for v in (cosine, distance, distance / lengths, lengths, others)]))
    names = ("cosine", "l2", "relative_l2", "norm_base", "norm_tuned")
    return dict(zip(names, torch.cat(rows, 1).cpu().numpy(), strict=True))


def _forms(
    pairs: Iterable[tuple[Tensor, Tensor]], first: Moments, second: Moments, forms: list[Tensor]
) -> list[Values]:
    """float64[texts] for each form F: mean over a text's tokens of (x - mean)ᵀ F (y - mean)."""
    rows = []
    for x, y in pairs:
        a, b = x - first.mean, y - second.mean
        rows.append(torch.stack([((a @ form) * b).sum(-1).mean(1) for form in forms]))
    return list(torch.cat(rows, 1).cpu().numpy())


def _one_side(batches: Batches, of: Moments) -> dict[str, Values]:
    """float64[texts] pseudo-values of the dimensions and of the anisotropy; and tr(ΣC) under ``square``.

    C is a text's covariance about the common mean. To first order the text moves tr(Σ) by tr(C) - tr(Σ), tr(Σ²) by
    2 (tr(ΣC) - tr(Σ²)), and the entropy of the spectrum's shares p by -Σ log(p) dp.
    """
    eigenvalues, axes = torch.linalg.eigh(of.covariance)
    eigenvalues = eigenvalues.clamp(min=0)
    whole = float(eigenvalues.sum())
    logs = torch.where(eigenvalues > 0, (eigenvalues / whole).log(), 0.0)
    one = torch.eye(len(logs), dtype=logs.dtype, device=logs.device)
    pairs = ((x, x) for x in batches())
    trace, square, entropy = _forms(pairs, of, of, [one, of.covariance, (axes * logs) @ axes.T])

    def ratio(squared_trace: float, trace_of_square: float) -> Values:
        value = participation_ratio(squared_trace, trace_of_square)
        by_trace = 2 * value * (trace - trace.mean()) / math.sqrt(squared_trace) if value > 0 else math.nan
        return np.asarray(value + by_trace - 2 * value * (square - square.mean()) / (trace_of_square or math.nan))

    return {
        "square": square,
        "dim": ratio(whole**2, float(of.covariance.square().sum())),
        "dim_corrected": ratio(of.squared_trace, of.trace_of_square),
        "rank": effective_rank(eigenvalues) * (1 - (entropy - entropy.mean() * trace / whole) / whole)
        if whole
        else np.full(of.texts, math.nan),
        "anisotropy": _anisotropy(batches()),
    }


def _anisotropy(batches: Iterable[Tensor]) -> Values:
    """float64[texts] pseudo-values of the mean cosine over all pairs of different tokens, in [-1/(tokens - 1), 1].

    Exact, from the sum of unit vectors: (|Σu|² - n) / (n (n - 1)). NaN for one token. Source: Ethayarajh (2019),
    who samples pairs.
    """
    rows, tokens = list[Tensor](), 0
    for x in batches:
        rows.append((x / x.norm(dim=-1, keepdim=True)).mean(1))
        tokens += x.shape[0] * x.shape[1]
    units = torch.cat(rows)
    mean = units.mean(0)
    if tokens < 2:
        return np.full(len(units), math.nan)
    size = float(mean.square().sum())
    value = (tokens * size - 1) / (tokens - 1)
    return np.asarray(value + 2 * tokens / (tokens - 1) * ((units @ mean).cpu().numpy() - size))
