"""Study: from how deep in the base model's order the hyperfitted model takes its tokens, which ones, and where."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import whole_characters
from hyperfit.mechanism.pair.continuations import Continuing, continued
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.mechanism.ranks.ranks import Choices, choices
from hyperfit.mechanism.ranks.token_classes import CLASSES, WordClass, word_classes
from hyperfit.metrics.estimate import Estimate, estimate
from hyperfit.numbers import COUNT, PERCENT
from hyperfit.runs.json_values import json_values

DEPTHS = (10, 100, 200)
"""Ranks below which a choice comes from the deep tail; the first is that of Li et al. (2026)."""
STRETCHES = 8
"""Parts into which a text is cut to see where overrides stand."""
LEFT = 12
"""Tokens shown before an example."""


@dataclass(frozen=True, kw_only=True)
class ClassShare:
    """How the tokens of one word class fare."""

    tuned: Estimate
    """Share of the tuned model's choices."""
    base: Estimate
    """Share of the base model's likeliest tokens at the same positions."""
    overridden: Estimate
    """Share of the base model's likeliest tokens of this class that the tuned model replaces; over texts with any."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A token that is chosen more, or less, often than the base model would."""

    token: int
    text: str
    tuned: int
    """Times chosen by the tuned model."""
    base: int
    """Times likeliest under the base model, at the same positions."""


@dataclass(frozen=True, kw_only=True)
class Example:
    """One choice from the deep tail."""

    text: int
    """Which of the texts."""
    place: int
    """Index of the token in it."""
    before: str
    """The last LEFT tokens before it."""
    chosen: str
    displaced: str
    """What the base model would have written there."""
    rank: int


@dataclass(frozen=True, kw_only=True)
class Origins:
    """Rank origin on one set of texts."""

    override: Estimate
    """Share of choices that are not the base model's first; a mean over texts, like all shares here."""
    deep: dict[int, Estimate]
    """For each of DEPTHS: share of choices with a larger rank."""
    bins: list[int]
    """Ranks 1, 2, 4, ..., at which the bins of ``histogram`` start; each ends before the next."""
    histogram: list[Estimate]
    """Share of choices in each bin."""
    stretches: list[Estimate]
    """Override rate in each of up to STRETCHES equal parts of the text, first to last."""
    classes: dict[WordClass, ClassShare]
    """Only classes that occur; none where tokens are no parts of words."""
    rising: list[Move]
    falling: list[Move]
    """Tokens with the greatest gain and loss in count, the greatest first; at most 20."""
    examples: list[Example]
    """Of as many texts, each one's choice from deepest below rank 10, deepest first; at most 10."""
    preferred: float
    """Share of choices that are the tuned model's likeliest token: 1 if teacher-forced, nearly so on its own texts."""
    texts: int
    positions: int
    """In all texts together."""


@dataclass(frozen=True, kw_only=True)
class RankOrigin:
    """Rank origin on the tuned model's own texts and on human text."""

    free_running: Origins
    teacher_forced: Origins

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {**json_values(self), "sentence": self.sentence()}

    def sentence(self) -> str:
        """The finding in numbers."""
        told = []
        for name, seen in (("in its own greedy texts", self.free_running), ("on human text", self.teacher_forced)):
            deep = ", ".join(
                f"{PERCENT.told(share.value)} from below rank {depth}" for depth, share in seen.deep.items()
            )
            told.append(
                f"{name} {PERCENT.within(seen.override)} of the hyperfitted model's choices are "
                f"not the base model's first: {deep} ({seen.texts} texts, {COUNT(seen.positions)} choices)"
            )
        whole = "; ".join(told)
        return f"{whole[:1].upper()}{whole[1:]}."


def rank_origin(
    pair: Pair,
    tokenizer: PreTrainedTokenizerBase,
    texts: Tensor,
    settings: Continuing | None = None,
    *,
    words: bool = True,
    advance: Callable[[int], None] = lambda done: None,
) -> RankOrigin:
    """Rank the tuned model's choices under the base model, in its own greedy texts and on int64[texts, length].

    Both start from the same contexts. Source: study 3 of Li et al. (2026): 39.1 % of choices override, 12.9 % come from
    below rank 10. words: whether tokens are of words, which have classes. advance: called with the number of
    texts written.
    """
    settings = settings or Continuing()
    written = continued(pair, "tuned", tokenizer, texts, settings, advance=advance)
    own = torch.cat([texts[:, : settings.context], torch.tensor(written, dtype=torch.int64)], dim=1)
    skip = settings.context
    return RankOrigin(
        free_running=origins(choices(pair, own, skip=skip, free_running=True), own, tokenizer, skip=skip, words=words),
        teacher_forced=origins(choices(pair, texts, skip=skip), texts, tokenizer, skip=skip, words=words),
    )


def origins(
    seen: Choices, texts: Tensor, tokenizer: PreTrainedTokenizerBase, *, skip: int, words: bool = True
) -> Origins:
    """Sum up choices at tokens ``skip`` to the last of int64[texts, length]. words: whether tokens have classes."""
    bins = [2**power for power in range(int(seen.rank.max()).bit_length())]
    inside = np.digitize(seen.rank, bins) - 1
    stretches = np.array_split(seen.overrides, min(STRETCHES, seen.rank.shape[1]), axis=1)
    rising, falling = moves(seen, tokenizer)
    return Origins(
        override=estimate(seen.deeper_than(1)),
        deep={depth: estimate(seen.deeper_than(depth)) for depth in DEPTHS},
        bins=bins,
        histogram=[estimate((inside == index).mean(axis=1)) for index in range(len(bins))],
        stretches=[estimate(part.mean(axis=1)) for part in stretches],
        classes=class_shares(seen, tokenizer) if words else {},
        rising=rising,
        falling=falling,
        examples=examples(seen, texts, tokenizer, skip=skip),
        preferred=float((seen.chosen == seen.preferred).mean()),
        texts=len(seen.rank),
        positions=seen.rank.size,
    )


def class_shares(seen: Choices, tokenizer: PreTrainedTokenizerBase) -> dict[WordClass, ClassShare]:
    """How each word class that occurs fares."""
    size = int(max(seen.chosen.max(), seen.displaced.max())) + 1
    class_of = np.array([CLASSES.index(name) for name in word_classes(tokenizer, size)])
    chosen, displaced = class_of[seen.chosen], class_of[seen.displaced]
    shares = {}
    for index, name in enumerate(CLASSES):
        theirs = displaced == index
        if not (theirs.any() or (chosen == index).any()):
            continue
        with np.errstate(invalid="ignore"):
            overridden = (theirs & seen.overrides).sum(axis=1) / theirs.sum(axis=1)
        shares[name] = ClassShare(
            tuned=estimate((chosen == index).mean(axis=1)),
            base=estimate(theirs.mean(axis=1)),
            overridden=estimate(overridden),
        )
    return shares


def moves(seen: Choices, tokenizer: PreTrainedTokenizerBase, most: int = 20) -> tuple[list[Move], list[Move]]:
    """(rising, falling): tokens by the change of their count, at most ``most`` each; unchanged ones are neither."""
    size = int(max(seen.chosen.max(), seen.displaced.max())) + 1
    tuned = np.bincount(seen.chosen.ravel(), minlength=size)
    base = np.bincount(seen.displaced.ravel(), minlength=size)
    order = np.argsort(base - tuned, kind="stable")

    def move(token: int) -> Move:
        text = str(tokenizer.decode([token]))
        return Move(token=token, text=text, tuned=int(tuned[token]), base=int(base[token]))

    rising = [move(token) for token in order[:most].tolist() if tuned[token] > base[token]]
    falling = [move(token) for token in order[::-1][:most].tolist() if tuned[token] < base[token]]
    return rising, falling


def examples(
    seen: Choices, texts: Tensor, tokenizer: PreTrainedTokenizerBase, *, skip: int, most: int = 10
) -> list[Example]:
    """The choice of largest rank of each text, where that is in the deep tail; deepest first."""
    places = seen.rank.argmax(axis=1)
    ranks = seen.rank.max(axis=1)
    found = []
    for text in np.argsort(-ranks, kind="stable")[:most].tolist():
        place = int(places[text])
        if ranks[text] <= DEPTHS[0]:
            break
        end = skip + place
        found.append(
            Example(
                text=text,
                place=end,
                before=whole_characters(str(tokenizer.decode(texts[text, max(0, end - LEFT) : end].tolist()))),
                chosen=str(tokenizer.decode([int(seen.chosen[text, place])])),
                displaced=str(tokenizer.decode([int(seen.displaced[text, place])])),
                rank=int(ranks[text]),
            )
        )
    return found
