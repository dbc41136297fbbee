"""What models of others say of texts, as evaluation.json holds it: MAUVE and coherence, checked and measured."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase

from hyperfit.console import progress, say
from hyperfit.errors import UserError, naming
from hyperfit.metrics.by_model.coherence import coherence, tokens_and_start
from hyperfit.metrics.by_model.mauve import TOKENS as MAUVE_TOKENS
from hyperfit.metrics.by_model.mauve import Mauve, mauve
from hyperfit.metrics.estimate import Estimate
from hyperfit.models.loading import load_config, load_tokenizer
from hyperfit.models.structure.layout import positions_of
from hyperfit.models.structure.vocabulary import check_embedded
from hyperfit.recipes.recipe import Precision


def check_featuriser(name: str) -> None:
    """Raises UserError for a model that cannot read as much as MAUVE compares, or that is not there."""
    limit, _ = model_of("--mauve", name)
    if limit and limit < MAUVE_TOKENS:
        raise UserError(
            f"--mauve {name}: knows {limit} positions, and MAUVE compares the first {MAUVE_TOKENS} tokens; give a "
            "model that knows more"
        )


def check_scorer(
    name: str, pairs: Iterable[tuple[str, str]], *, what: str, remedy: str, flag: str = "--coherence"
) -> None:
    """Raises UserError for a model that cannot read the longest of (context, text), or that is not there.

    what: whose texts they are. remedy: what makes them shorter. flag: that names the model.
    """
    limit, tokenizer = model_of(flag, name)
    texts = [tokens_and_start(tokenizer, *pair)[0] for pair in pairs]
    with naming(flag):
        check_embedded(name, tokenizer, texts)
    longest = max(map(len, texts), default=0)
    if limit and longest > limit:
        raise UserError(
            f"{flag} {name}: the longest {what} has {longest} of its tokens, and it knows {limit} positions; "
            f"give a model that knows more, or {remedy}"
        )


def model_of(flag: str, name: str) -> tuple[int | None, PreTrainedTokenizerBase]:
    """(positions, tokenizer) of a model that a flag names. Raises UserError that names the flag."""
    with naming(flag):
        return positions_of(load_config(name)), load_tokenizer(name)


def likeness(
    name: str,
    human: Sequence[str],
    written: Sequence[str],
    *,
    featuriser: str,
    device: torch.device,
    paired: bool = True,
) -> dict[str, Any]:
    """MAUVE of a condition's texts against human ones; paired: text i of both sides goes on from one context."""
    with progress(f"MAUVE of {name}", len(human) + len(written)) as advance:
        measured = mauve(human, written, featuriser=featuriser, device=str(device), paired=paired, advance=advance)
    found = likeness_to_json(measured)
    if found["value"] is None:
        fewer = min(measured.n_human, measured.n_written)
        say(f"MAUVE of {name}: undefined, {fewer} texts are long enough for the featuriser")
    return found


def likeness_to_json(found: Mauve) -> dict[str, Any]:
    """The mean over seeds as a measure, without an interval; the values by seed, and what they depend on.

    ``spread``: smallest and largest value, and ``deviation`` theirs: of the seeds, not of the texts.
    """
    return {
        **Estimate(found.mean, math.nan, math.nan, found.n_written).to_dict(),
        "values": [defined(value) for value in found.values.tolist()],
        "seeds": list(found.seeds),
        "spread": [defined(found.low), defined(found.high)],
        "deviation": defined(found.deviation),
        "dropped": {"human": found.dropped_human, "written": found.dropped_written},
        "tokens": found.tokens,
        "bins": found.bins,
        "featuriser": found.featuriser,
    }


def coherences(
    pairs: Mapping[str, Sequence[tuple[str, str]]], *, scorer: str, device: torch.device, precision: Precision
) -> dict[str, list[float]]:
    """Coherence of every (context, text) of each condition; the scorer is loaded once."""
    together = [pair for rows in pairs.values() for pair in rows]
    with progress("coherence", len(together)) as advance:
        judged = coherence(
            [context for context, _ in together],
            [text for _, text in together],
            scorer=scorer,
            device=str(device),
            precision=precision,
            advance=advance,
        ).tolist()
    ends = accumulate(map(len, pairs.values()))
    return {name: judged[end - len(rows) : end] for (name, rows), end in zip(pairs.items(), ends, strict=True)}


def defined(value: float) -> float | None:
    """The number, or None for NaN, which JSON does not have."""
    return None if math.isnan(value) else value
