"""Study: is the hyperfitted model only a colder base model? The base at equal entropy, in its predictions and texts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import LogitsProcessor, PreTrainedTokenizerBase

from hyperfit.mechanism.pair.continuations import SAMPLING, Continuing, Texts, continued, diversity, words_after
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.pair.predictions import last_states, logits_of, pair_predictions, positions_at_once, predictions
from hyperfit.mechanism.temperature.temperature import (
    TOLERANCE,
    EntropyMatchedTemperature,
    Match,
    entropy_and_slope,
    match_entropies,
    match_mean,
)
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.metrics.text.words import Lexicon
from hyperfit.numbers import COUNT, HUNDREDTHS, PERCENT, RATIO
from hyperfit.runs.json_values import json_values

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
SCALINGS = ("1", "one", "each")
"""Base logits as they are, divided by the one temperature of the pair, and by one of each position."""


@dataclass(frozen=True, kw_only=True)
class Positions:
    """Both sides on the same human texts, by position; float64[texts, positions], nats."""

    base_entropy: NDArray[np.float64]
    tuned_entropy: NDArray[np.float64]
    temperature: NDArray[np.float64]
    """At which the base model's entropy equals the tuned one's here, or the nearest end of the range searched."""
    matched: NDArray[np.bool_]
    """Whether it does."""
    agree: NDArray[np.bool_]
    """Whether both sides prefer the same token."""
    divergence: dict[str, NDArray[np.float64]]
    """For each of SCALINGS: KL(tuned || base so scaled), at least 0."""


@dataclass(frozen=True, kw_only=True)
class EntropyMatching:
    """What temperature explains of hyperfitting, and what it cannot."""

    one: Match
    """The one temperature of the pair."""
    temperatures: dict[float, float]
    """Quantile → temperature, over positions, where each position has its own."""
    matched: Estimate
    """Share of positions with a temperature of their own that matches."""
    base_entropy: Estimate
    tuned_entropy: Estimate
    """Nats, on human text."""
    agreement: Estimate
    """Share of positions at which both sides prefer the same token. No temperature changes it."""
    divergence: dict[str, Estimate]
    """KL(tuned || base scaled), nats, for each of SCALINGS: what remains once the entropies are equal."""
    identical: bool
    """Whether greedy texts of the base model are the same token by token at T* and at a temperature for each step."""
    texts: int
    tokens: int
    """How many of each condition were compared for that."""
    diversity: dict[str, dict[str, Estimate]]
    """SIDE/DECODING → measure → mean over texts; ``human`` among them."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """The finding in numbers."""
        ttr = {name: RATIO.told(measures["ttr"].value) for name, measures in self.diversity.items()}
        alike = "identical token by token" if self.identical else "NOT identical"
        left = {name: value.value for name, value in self.divergence.items()}
        return (
            f"{self.one.sentence()[:1].upper()}{self.one.sentence()[1:]} ({COUNT(self.one.n)} positions). Greedy "
            "texts of the "
            f"base model there are {alike} to its own ({self.texts} texts, {COUNT(self.tokens)} tokens; TTR "
            f"{ttr['base/greedy']}); sampled there, TTR {ttr['base/sampling at T*']}; hyperfitted greedy "
            f"{ttr['hyperfitted/greedy']}. The sides prefer the same token at {PERCENT.told(self.agreement.value)} of "
            "positions. "
            f"The hyperfitted predictions diverge from the base model's by {HUNDREDTHS.told(left['1'])} nats, from "
            "those at the one "
            f"temperature by {HUNDREDTHS.told(left['one'])}, from those at one for each position by "
            f"{HUNDREDTHS.told(left['each'])}."
        )


def entropy_matching(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing | None = None,
    *,
    lexicon: Lexicon | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> EntropyMatching:
    """Match the base model's entropy to the tuned one's on int64[texts, length], and write texts at that temperature.

    Predictions are those of the tokens after each context. Source: study 1 of Li et al. (2026), who report T* of about
    .59 for TinyLlama; one temperature for each position and the divergences go beyond it. lexicon: what
    counts as a word; None leaves their share undefined. advance: called with the number of texts written; eight
    conditions.
    """
    settings = settings or Continuing()
    one = matched_temperature(pair, texts, skip=settings.context)
    seen = compared(pair, texts, one.temperature, skip=settings.context)
    written = write(pair, tokenizer, texts, settings, one, advance)
    plainly = written["base/greedy"]
    words = words_after(tokenizer, texts[:, : settings.context], lexicon)
    colder = (written["base/greedy at T*"], written["base/greedy, T for each"])
    return EntropyMatching(
        one=one,
        temperatures={q: float(np.quantile(seen.temperature, q)) for q in QUANTILES},
        matched=estimate(seen.matched.mean(1)),
        base_entropy=estimate(seen.base_entropy.mean(1)),
        tuned_entropy=estimate(seen.tuned_entropy.mean(1)),
        agreement=estimate(seen.agree.mean(1)),
        divergence={name: estimate(values.mean(1)) for name, values in seen.divergence.items()},
        identical=all(other == plainly for other in colder),
        texts=len(plainly),
        tokens=sum(map(len, plainly)),
        diversity={name: diversity(rows, words) for name, rows in written.items()},
    )


def matched_temperature(pair: Pair, texts: Tensor, *, skip: int = 1, batch_size: int = 8) -> Match:
    """The one temperature at which the base model's mean entropy on int64[texts, length] is the tuned model's.

    The base model's last hidden states of all texts are held (on the CPU; texts · length · width numbers), and its
    logits made anew from them at each of about ten temperatures.
    """
    tuned = [
        entropy_and_slope(chunk.logits[0], 1.0)[0]
        for chunk in predictions(partial(pair.side, "tuned"), texts=texts, skip=skip, batch_size=batch_size)
    ]
    entropies = torch.cat(tuned)
    batches = texts.split(batch_size)
    with pair.side("base") as base:
        held = torch.cat([last_states(base, batch, skip=skip).flatten(0, 1).cpu() for batch in batches])

        def evaluate(temperature: Tensor) -> tuple[Tensor, Tensor]:
            sums = torch.zeros(2, dtype=torch.float64)
            for states in held.split(positions_at_once(base)):
                parts = entropy_and_slope(logits_of(base, states.to(base.device)), float(temperature))
                sums += torch.stack([part.cpu().double().sum() for part in parts])
            means = sums[:, None] / len(held)
            return means[0], means[1]

        return match_mean(evaluate, float(entropies.cpu().double().mean()), len(held))


def entropy_by_temperature(
    pair: Pair,
    texts: Tensor,
    temperatures: Sequence[float],
    *,
    skip: int = 1,
    batch_size: int = 8,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[float, float]:
    """Temperature → mean entropy of the base model there, nats, on int64[texts, length]: for a picture.

    advance: called with the number of texts done.
    """
    sums, n = torch.zeros(len(temperatures), dtype=torch.float64), 0
    base = partial(pair.side, "base")
    for chunk in predictions(base, texts=texts, skip=skip, batch_size=batch_size, advance=advance):
        logits = chunk.logits[0]
        rows = [entropy_and_slope(logits, temperature)[0].double().sum().cpu() for temperature in temperatures]
        sums, n = sums + torch.stack(rows), n + len(logits)
    return dict(zip(temperatures, (sums / n).tolist(), strict=True))


def compared(pair: Pair, texts: Tensor, temperature: float, *, skip: int = 1) -> Positions:
    """Both sides on int64[texts, length], position by position; ``temperature`` is the one of SCALINGS."""
    rows: list[Tensor] = []
    for chunk in pair_predictions(pair, texts=texts, skip=skip):
        base, tuned = chunk.logits
        wanted = entropy_and_slope(tuned, 1.0)[0]
        each, reached = match_entropies(partial(entropy_and_slope, base), wanted)
        log_p = tuned.log_softmax(-1)
        scaled = (base, base / temperature, base / each[:, None])
        rows.append(
            torch.stack(
                [
                    entropy_and_slope(base, 1.0)[0],
                    wanted,
                    each,
                    torch.isclose(reached, wanted, rtol=TOLERANCE, atol=0.0),
                    base.argmax(-1) == tuned.argmax(-1),
                    *(divergence(log_p, logits.log_softmax(-1)) for logits in scaled),
                ]
            )
            .double()
            .cpu()
        )
    values = torch.cat(rows, dim=1).unflatten(1, (len(texts), -1)).numpy()
    base_entropy, tuned_entropy, temperatures, matched, agree, *divergences = values
    return Positions(
        base_entropy=base_entropy,
        tuned_entropy=tuned_entropy,
        temperature=temperatures,
        matched=matched.astype(bool),
        agree=agree.astype(bool),
        divergence=dict(zip(SCALINGS, divergences, strict=True)),
    )


def divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """float[rows]: KL(p || q), nats, from log-probabilities float[rows, tokens]; tokens that p excludes add nothing."""
    p = log_p.exp()
    return torch.where(p > 0, p * (log_p - log_q), 0.0).sum(-1).clamp_(min=0.0)


def write(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing,
    one: Match,
    advance: Callable[[int], None] = lambda done: None,
) -> dict[str, Texts]:
    """Texts of both sides, greedy and sampled, at the temperatures that equal entropy asks for.

    ``T for each``: at each step each text has the temperature at which the base model's entropy is the tuned model's
    mean on human text, as in a text of its own the base model has no tuned entropies to follow.
    """
    at_one = EntropyMatchedTemperature(one.temperature)
    at_each = EntropyMatchedTemperature(entropy=one.target)
    colder: dict[str, tuple[LogitsProcessor, ...]] = {"": (), " at T*": (at_one,), ", T for each": (at_each,)}
    write_one = partial(continued, pair, tokenizer=tokenizer, texts=texts, settings=settings, advance=advance)
    written = {
        f"base/{name}{how}": write_one("base", decoding=decoding, processors=processors)
        for name, decoding in (("greedy", "greedy"), ("sampling", SAMPLING))
        for how, processors in colder.items()
    }
    written["hyperfitted/greedy"] = write_one("tuned")
    written["hyperfitted/sampling"] = write_one("tuned", decoding=SAMPLING)
    written["human"] = texts[:, settings.context :].tolist()
    return written
