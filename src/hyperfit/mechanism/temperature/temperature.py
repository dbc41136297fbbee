"""The temperature at which a model is as unsure as another: one for all positions, or one for each."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor

from hyperfit.errors import UserError
from hyperfit.numbers import figures

COLDEST, HOTTEST = 1e-3, 1e3
"""Temperatures between which a match is sought."""
TOLERANCE = 1e-5
"""How close, relative to the target, an entropy counts as equal to it."""
MOST_STEPS = 60

_LEAST = -1e4
"""Stands for any scaled logit below it: its exponential is 0 either way, but its square is finite."""


def entropy_and_slope(logits: Tensor, temperature: Tensor | float) -> tuple[Tensor, Tensor]:
    """Entropy in nats at a temperature, and its derivative by log temperature; both float[rows], both at least 0.

    logits: float[rows, vocabulary], -inf for impossible tokens. temperature: one, or float[rows]. With scaled logits
    s = logits / T the derivative is the variance of s: entropy rises with T, strictly unless all possible tokens are
    equally likely. The best token's share is kept out of the sums, so that entropies near 0 keep their digits.
    """
    if isinstance(temperature, Tensor):
        temperature = temperature[:, None]
    best = logits.max(-1, keepdim=True)
    scaled = (logits - best.values).div_(temperature).clamp_(min=_LEAST)
    weights = scaled.exp().scatter_(-1, best.indices, 0.0)
    rest = weights.sum(-1)
    weights.mul_(scaled)
    mean = weights.sum(-1) / (1 + rest)
    square = weights.mul_(scaled).sum(-1) / (1 + rest)
    return rest.log1p() - mean, square - mean.square()


def match_entropies(
    evaluate: Callable[[Tensor], tuple[Tensor, Tensor]],
    target: Tensor,
    *,
    coldest: float = COLDEST,
    hottest: float = HOTTEST,
    steps: int = MOST_STEPS,
    tolerance: float | None = TOLERANCE,
) -> tuple[Tensor, Tensor]:
    """(temperature, entropy reached) for each target entropy, float[n]; the nearest end where none in range matches.

    evaluate: temperatures float[n] to entropies and their derivatives by log temperature. Bisection on log T of the
    bracket from ``coldest`` to ``hottest``; a Newton step on the logarithm of the entropy is taken instead where it
    stays inside the bracket and halves the error. Ends once all are within ``tolerance`` of their target or cannot
    be; None: never looks, and takes ``steps`` steps, so that a GPU is not waited for.
    """
    coldest_log, hottest_log = math.log(coldest), math.log(hottest)
    low, high = torch.full_like(target, coldest_log), torch.full_like(target, hottest_log)
    at = torch.zeros_like(target).clamp_(coldest_log, hottest_log)
    least = torch.full_like(target, math.inf)
    best, reached = at, torch.full_like(target, math.nan)
    before = least
    for _ in range(steps):
        entropy, slope = evaluate(at.exp())
        error = torch.where(entropy == target, 0.0, (entropy / target).log())
        better = error.abs() <= least
        best, reached = torch.where(better, at, best), torch.where(better, entropy, reached)
        least = torch.minimum(least, error.abs())
        ended = (at == hottest_log) & (error < 0) | (at == coldest_log) & (error > 0)
        best, reached = torch.where(ended, at, best), torch.where(ended, entropy, reached)
        if tolerance is not None and bool(((least <= tolerance) | ended | (high - low < 1e-7)).all()):
            break
        low, high = torch.where(error < 0, at, low), torch.where(error > 0, at, high)
        newton = at - error * entropy / slope
        # an end of the range that has not been tried yet is tried at once, as there may be nothing before it
        newton = torch.where((error < 0) & (newton >= hottest_log) & (high == hottest_log), hottest_log, newton)
        newton = torch.where((error > 0) & (newton <= coldest_log) & (low == coldest_log), coldest_log, newton)
        usable = (newton >= low) & (newton <= high) & (newton != at) & (error.abs() <= before / 2)
        at = torch.where(error == 0, at, torch.where(usable, newton, (low + high) / 2))
        before = error.abs()
    return best.exp(), reached


@dataclass(frozen=True)
class Match:
    """The temperature at which a mean entropy equals a target."""

    temperature: float
    """The nearest end of the range searched where none matches."""
    matched: bool
    """Whether the entropy is within TOLERANCE of the target."""
    entropy: float
    """Nats; the mean at this temperature."""
    target: float
    """Nats."""
    n: int
    """Positions."""

    def sentence(self) -> str:
        """The finding."""
        entropy, temperature = figures(self.entropy), figures(self.temperature)
        if self.matched:
            return f"at temperature {temperature} the mean entropy is {entropy} nats, as it should be"
        limit = "falls to" if self.entropy > self.target else "rises to"
        return (
            f"no temperature gives a mean entropy of {figures(self.target)} nats: it only {limit} {entropy}, at "
            f"temperature {temperature}"
        )


def match_mean(evaluate: Callable[[Tensor], tuple[Tensor, Tensor]], target: float, n: int) -> Match:
    """One temperature for n positions. evaluate: a temperature, float64[1], to the mean entropy and its derivative."""
    temperature, entropy = match_entropies(evaluate, torch.tensor([target], dtype=torch.float64))
    reached = float(entropy)
    matched = math.isclose(reached, target, rel_tol=TOLERANCE, abs_tol=0.0)
    return Match(float(temperature), matched, reached, target, n)


class EntropyMatchedTemperature(LogitsProcessor):
    """Divide logits by a temperature: a given one, or for each row the one that gives it a given entropy.

    Works in anyone's ``model.generate(logits_processor=LogitsProcessorList([...]))``, before the sampling warpers.
    The best token is the same as before, exactly and also among near-ties: the logits come out as differences from
    the best, which is 0, and no other is. Greedy decoding therefore does not change by a single token.
    """

    def __init__(
        self,
        temperature: float | None = None,
        *,
        entropy: float | None = None,
        coldest: float = 0.01,
        hottest: float = 100.0,
        steps: int = 24,
    ) -> None:
        """Give ``temperature`` (above 0), or ``entropy`` (nats, at least 0).

        For an entropy, each row's temperature is between ``coldest`` and ``hottest``, at that end where none in
        between matches; it is found in ``steps`` steps, to about 1e-5 of the entropy, without waiting for a GPU.
        """
        problems = []
        if (temperature is None) == (entropy is None):
            problems.append(
                "EntropyMatchedTemperature takes one of temperature and entropy, "
                f"not {temperature} and {entropy}; leave one out"
            )
        if temperature is not None and not 0 < temperature < math.inf:
            problems.append(f"temperature {temperature}: give a number above 0")
        if entropy is not None and not 0 <= entropy < math.inf:
            problems.append(f"entropy {entropy}: give nats, 0 or more")
        if not 0 < coldest < hottest < math.inf:
            problems.append(f"coldest {coldest}, hottest {hottest}: give two numbers above 0, the lower one first")
        if steps < 1:
            problems.append(f"steps {steps}: give at least 1")
        if problems:
            raise UserError(*problems)
        self.temperature, self.entropy = temperature, None if entropy is None else float(entropy)
        self.coldest, self.hottest, self.steps = coldest, hottest, steps

    @torch.no_grad()
    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """float[rows, vocabulary] → the same, differences from the best token divided by the temperature."""
        best = scores.max(-1, keepdim=True).values
        below = (scores - best) / (self.temperature or self.temperatures(scores)[:, None].to(scores.dtype))
        # what is below the best stays below it, whatever rounding makes of the quotient
        return torch.where(scores < best, below.clamp(max=-torch.finfo(scores.dtype).tiny), 0.0)

    def temperatures(self, scores: Tensor) -> Tensor:
        """float32[rows]: the temperature of each row, for a processor made with an entropy."""
        assert self.entropy is not None
        wide = scores.float()
        return match_entropies(
            lambda temperature: entropy_and_slope(wide, temperature),
            torch.full((len(scores),), self.entropy, device=scores.device),
            coldest=self.coldest,
            hottest=self.hottest,
            steps=self.steps,
            tolerance=None,
        )[0]
