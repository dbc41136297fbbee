"""What each layer would say: its states read out by the model's own final norm and head (the logit lens)."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperfit.mechanism.layers.capture import NORM, Captured, captured
from hyperfit.mechanism.pair.pair import SIDES, Pair, Side, differing
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.models.devices import positions_at_once
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import read_out
from hyperfit.models.structure.layout import inner_model, layout_of, under
from hyperfit.numbers import PERCENT, TENTHS

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Readout:
    """One side's predictions at every point and position; the arrays are [texts, points, positions]."""

    tokens: NDArray[np.int64]
    """The likeliest token."""
    probability: NDArray[np.float32]
    """Its probability, in (0, 1]."""
    entropy: NDArray[np.float32]
    """Of the prediction, in nats."""

    @property
    def first(self) -> NDArray[np.int64]:
        """int64[texts, positions]: the first point at which the side's final choice is the likeliest token."""
        return np.asarray((self.tokens == self.tokens[:, -1:]).argmax(1))

    @property
    def settles(self) -> NDArray[np.int64]:
        """int64[texts, positions]: the first point from which on the final choice stays the likeliest token."""
        return _from_on(self.tokens == self.tokens[:, -1:])


def _from_on(holds: NDArray[np.bool_]) -> NDArray[np.int64]:
    """int64[texts, positions]: the first point from which on it holds to the end; the number of points if never."""
    return np.asarray(holds.shape[1] - np.logical_and.accumulate(holds[:, ::-1], 1).sum(1))


@dataclass(frozen=True)
class Lens:
    """Both sides read out at the same positions of the same texts."""

    points: tuple[str, ...]
    """The embedding and each block's output; the last is the model's own prediction."""
    texts: NDArray[np.int64]
    """int64[texts, length]: what was read; see ``skip`` for the tokens predicted."""
    skip: int
    """The first token predicted: position j of an array predicts token skip + j."""
    base: Readout
    tuned: Readout
    divergence: NDArray[np.float32]
    """float32[texts, points, positions]: KL(tuned ‖ base) of the two predictions, in nats, at least 0."""

    @property
    def parts(self) -> NDArray[np.int64]:
        """int64[texts, positions]: the first point from which on the sides' choices differ to the end.

        The number of points where the two models' own choices are the same.
        """
        return _from_on(self.base.tokens != self.tuned.tokens)

    def by_point(self) -> dict[str, list[Estimate]]:
        """At each point, over texts: the choices' agreement, the divergence; of each side, what it would predict.

        Entropy, probability of the likeliest token, and share of the positions that have settled, by name of the side.
        """
        order = np.arange(len(self.points))[None, :, None]
        arrays: dict[str, NDArray[Any]] = {
            "agreement": self.base.tokens == self.tuned.tokens,
            "divergence": self.divergence,
        }
        for side, readout in (("base", self.base), ("tuned", self.tuned)):
            arrays[f"entropy_{side}"] = readout.entropy
            arrays[f"probability_{side}"] = readout.probability
            arrays[f"settled_{side}"] = readout.settles[:, None] <= order
        return {name: [estimate(column) for column in _means(array).T] for name, array in arrays.items()}

    def summary(self) -> dict[str, Estimate]:
        """Over texts: mean point (0: the embedding) at which a final choice is first on top, and at which it settles.

        ``parted`` is the share of positions at which the models' choices differ, ``parts`` the mean point at which
        those part for good; NaN if there are none.
        """
        parted = self.parts < len(self.points)
        where = [float(p[m].mean()) if m.any() else math.nan for p, m in zip(self.parts, parted, strict=True)]
        return {
            "first_base": estimate(self.base.first.mean(1)),
            "first_tuned": estimate(self.tuned.first.mean(1)),
            "settles_base": estimate(self.base.settles.mean(1)),
            "settles_tuned": estimate(self.tuned.settles.mean(1)),
            "parted": estimate(parted.mean(1)),
            "parts": estimate(where),
        }

    def to_dict(self) -> dict[str, Any]:
        """Plain values of the summaries, for JSON; the arrays are for pictures."""
        return {
            "points": list(self.points),
            "texts": len(self.texts),
            "positions": int(self.divergence.shape[2]),
            "summary": {name: value.to_dict() for name, value in self.summary().items()},
            "by_point": {name: [value.to_dict() for value in values] for name, values in self.by_point().items()},
        }

    def sentence(self) -> str:
        """The finding in numbers."""
        found, last = self.summary(), len(self.points) - 1
        said = (
            f"Over {len(self.texts)} texts the final choice settles after {TENTHS.told(found['settles_base'].value)} "
            f"of {last} "
            f"blocks in the base and {TENTHS.told(found['settles_tuned'].value)} in the tuned model (first on top "
            "after "
            f"{TENTHS.told(found['first_base'].value)} and {TENTHS.told(found['first_tuned'].value)})."
        )
        if math.isnan(found["parts"].value):
            return f"{said} The two models choose the same token at every position."
        late = float((self.parts[self.parts <= last] == last).mean())
        return (
            f"{said} They choose differently at {PERCENT.within(found['parted'])} "
            "of the positions, and part for good after "
            f"{TENTHS.told(found['parts'].value)} blocks on average; {PERCENT.told(late)} of those part only at the "
            "last block."
        )


def _means(array: NDArray[Any]) -> Values:
    """float64[texts, points]: means over positions."""
    return np.asarray(array.mean(2, dtype=np.float64))


def lens(
    pair: Pair,
    texts: Tensor,
    *,
    skip: int = 1,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> Lens:
    """Read both sides out at every point of int64[texts, length] token ids, such as the tuned model's greedy texts.

    The tokens from ``skip`` on (at least 1) are predicted. Each side's states go through its own final norm and head,
    as its forward pass does it; at the last block that is the model's own prediction. Probabilities are computed in
    fp32, a bounded number of positions at a time. advance: called with the number of texts captured. Source:
    nostalgebraist (2020), *the logit lens*.
    """
    with captured(pair, texts, skip=skip, batch_size=batch_size, advance=advance) as states:
        points = tuple(point for point in states.points if point != NORM)
        same = frozenset(points) & states.shared if same_readout(pair) else frozenset()
        read = [_read(pair, states, point, once=point in same) for point in points]
    found = {name: np.stack([one[name] for one in read], 1) for name in read[0]}
    base, tuned = (
        Readout(*(found[f"{name}_{side}"] for name in ("tokens", "probability", "entropy"))) for side in SIDES
    )
    return Lens(points, texts.cpu().numpy(), skip, base, tuned, found["divergence"])


def same_readout(pair: Pair) -> bool:
    """Whether final norm and head are the same on both sides."""
    layout = layout_of(inner_model(pair.tuned))
    return not any(under(name, (*layout.above(pair.depth), layout.embedding)) for name in differing(pair))


def _read(pair: Pair, states: Captured, point: str, *, once: bool) -> dict[str, NDArray[Any]]:
    """Arrays [texts, positions] of one point: tokens, probability and entropy of each side, and the divergence."""
    rows: dict[str, list[Tensor]] = {}
    for base, tuned in _predictions(pair, states, point, once=once):
        for side, logs in (("base", base), ("tuned", tuned)):
            best = logs.max(-1)
            rows.setdefault(f"tokens_{side}", []).append(best.indices.cpu())
            rows.setdefault(f"probability_{side}", []).append(best.values.exp().cpu())
            rows.setdefault(f"entropy_{side}", []).append(_expected(logs, -logs).cpu())
        rows.setdefault("divergence", []).append(_expected(tuned, tuned - base).cpu())
    return {name: torch.cat(pieces).view(states.texts, states.positions).numpy() for name, pieces in rows.items()}


def _expected(logs: Tensor, values: Tensor) -> Tensor:
    """The mean of ``values`` under float[positions, vocabulary] log-probabilities; what cannot happen counts 0."""
    return torch.where(logs > -math.inf, logs.exp() * values, 0.0).sum(-1)


def _predictions(pair: Pair, states: Captured, point: str, *, once: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """(base, tuned) float32[positions, vocabulary] log-probabilities, a bounded number of positions at a time."""
    inner = inner_model(pair.tuned)
    size = positions_at_once(layout_of(inner).vocabulary, inner.device)
    for start in range(0, states.texts, states.batch_size):
        rows = range(start, min(start + states.batch_size, states.texts))
        flat = {side: states.files[side, point].read(rows)[:, states.passed :].flatten(0, 1) for side in SIDES}
        for base, tuned in zip(flat["base"].split(size), flat["tuned"].split(size), strict=True):
            said = _readout(pair, "base", base)
            yield said, said if once else _readout(pair, "tuned", tuned)


def _readout(pair: Pair, side: Side, states: Tensor) -> Tensor:
    """float32[positions, vocabulary] log-probabilities of dtype[positions, width] states before the final norm."""
    with pair.side(side) as model, evaluating(model):
        return read_out(inner_model(model), states.to(inner_model(model).device)).float().log_softmax(-1)
