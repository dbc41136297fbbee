"""Texts of several conditions → every measure that needs no model, and what of them was copied."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from hyperfit.metrics.copying.memorisation import LONG_OVERLAP, copied_pieces, longest_overlaps, novel_shares
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.estimate import Estimate, estimate, share_estimate
from hyperfit.metrics.text.bleu import BleuCounts, bleu_counts
from hyperfit.metrics.text.by_text import SHARES, TEXT_MEASURES
from hyperfit.metrics.text.diversity import ttr_curve
from hyperfit.metrics.text.pooled import compression, distinct_ngrams
from hyperfit.metrics.text.self_bleu import self_bleu
from hyperfit.metrics.text.words import Lexicon, word_share

ALL_SHARES = SHARES | {"long_overlap_share"}
"""Measures that are 0 or 1 for each text."""
DISTINCT = (1, 2, 3)
"""Tokens of the n-grams of which the distinct share of all texts together is taken."""
NOVEL = (4, 8)
"""Tokens of the n-grams of which the share that the training data lacks is taken."""
POSITION_STEP = 32
"""Tokens from one point of the curve of type-token ratios to the next."""
MOST_COPIES = 3
"""Texts of each condition whose copied pieces are kept for people to read."""
FIRST_WORDS = 12
"""Words of a training document that stand for it."""

Texts = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Scores:
    """All measures of the texts of one condition."""

    per_text: dict[str, list[float]]
    """Measure → one value a text, NaN where it is undefined."""
    pooled: dict[str, Estimate]
    """Measures that have no value for one text."""
    by_position: list[tuple[int, Estimate]]
    """(end, type-token ratio of the window of tokens before it), over the texts that reach that far."""

    def summary(self) -> dict[str, Any]:
        """Measure → value, low, high, n; ``most_overlap``, a maximum, which has no interval; ``ttr_by_position``.

        ``most_overlap`` only where there is training data to overlap with.
        """
        found: dict[str, Any] = {
            name: (share_estimate if name in ALL_SHARES else estimate)(values).to_dict()
            for name, values in self.per_text.items()
        }
        found |= {name: value.to_dict() for name, value in self.pooled.items()}
        if "longest_overlap" in self.per_text:
            known = [overlap for overlap in self.per_text["longest_overlap"] if not math.isnan(overlap)]
            found["most_overlap"] = int(max(known, default=0))
        found["ttr_by_position"] = [{"end": end, **value.to_dict()} for end, value in self.by_position]
        return found


def score(
    texts: Mapping[str, Texts],
    training: Texts | None,
    strings: Mapping[str, Sequence[str]],
    index: TrainingIndex | None = None,
    contexts: Mapping[str, Sequence[str]] | None = None,
    lexicon: Lexicon | None = None,
) -> dict[str, Scores]:
    """Condition → scores of its texts.

    texts: token ids by condition, without their contexts. training: sequences that texts may have been
    copied from; None leaves the measures of memorisation out. strings: the same texts decoded, for
    compression and words. index: of ``training``, if it is there already. contexts: decoded, of each text; None: none.
    lexicon: what counts as a word; None leaves the share of words out.
    """
    copying: dict[str, dict[str, list[float]]] = {name: {} for name in texts}
    counted: dict[str, BleuCounts] = {}
    if training is not None:
        copying = memorisation(texts, index or TrainingIndex(training))
        counted = dataset_counts(texts, training)
    words: dict[str, dict[str, list[float]]] = {name: {} for name in texts}
    if lexicon is not None:
        for name, rows in strings.items():
            pairs = zip(rows, contexts[name] if contexts else [""] * len(rows), strict=True)
            words[name] = {"word_share": [word_share(text, lexicon, context) for text, context in pairs]}
    return {
        name: Scores(
            {
                **{measure: [of(tokens) for tokens in rows] for measure, of in TEXT_MEASURES.items()},
                **words[name],
                "self_bleu": self_bleu(rows).tolist(),
                **copying[name],
                **({"dataset_bleu": counted[name].per_text().tolist()} if counted else {}),
            },
            {
                **{f"distinct_{n}": distinct_ngrams(rows, n) for n in DISTINCT},
                "compression": compression(strings[name]),
                **({"corpus_dataset_bleu": counted[name].corpus()} if counted else {}),
            },
            ttr_by_position(rows),
        )
        for name, rows in texts.items()
    }


def dataset_counts(texts: Mapping[str, Texts], training: Texts) -> dict[str, BleuCounts]:
    """Condition → n-grams of its texts that the training data holds too; the training data is read once for all."""
    everything = bleu_counts([tokens for rows in texts.values() for tokens in rows], training).of_excerpts()
    ends = list(accumulate(len(rows) for rows in texts.values()))
    return {
        name: BleuCounts(
            everything.matched[end - len(rows) : end],
            everything.total[end - len(rows) : end],
            everything.length[end - len(rows) : end],
            everything.reference_length[end - len(rows) : end],
        )
        for (name, rows), end in zip(texts.items(), ends, strict=True)
    }


def memorisation(texts: Mapping[str, Texts], index: TrainingIndex) -> dict[str, dict[str, list[float]]]:
    """Condition → measure → a value a text: the longest run that the training data holds too, and what is new."""
    measured = {}
    for name, rows in texts.items():
        novel = novel_shares(rows, index, max(NOVEL))
        known = np.where([len(tokens) > 0 for tokens in rows], longest_overlaps(rows, index), np.nan)
        measured[name] = {
            "longest_overlap": known.tolist(),
            "long_overlap_share": np.where(np.isnan(known), np.nan, known > LONG_OVERLAP).tolist(),
            **{f"novel_{n}grams": novel[:, n - 1].tolist() for n in NOVEL},
        }
    return measured


def ttr_by_position(texts: Texts) -> list[tuple[int, Estimate]]:
    """(end, mean type-token ratio of the window of tokens before it), for every end that some text reaches."""
    at: dict[int, list[float]] = defaultdict(list)
    for tokens in texts:
        for end, ratio in ttr_curve(tokens, step=POSITION_STEP):
            at[end].append(ratio)
    return [(end, estimate(values)) for end, values in sorted(at.items())]


def copies(
    texts: Mapping[str, Texts],
    index: TrainingIndex,
    training: Texts,
    decode: Callable[[Sequence[int]], str],
    names: Sequence[str] | None = None,
    contexts: Mapping[str, Sequence[str]] | None = None,
    most: int = MOST_COPIES,
) -> dict[str, list[dict[str, Any]]]:
    """Condition → its ``most`` texts with the longest copied runs, for people to read; longest first.

    Each as ``text`` (its number), ``overlap`` (tokens of its longest run), ``pieces`` ([text, number of
    the training sequence it is copied from, or None], see ``copied_pieces``) and ``documents`` (number →
    its name and first words), with the ``context`` if ``contexts`` has it, decoded, of each text. Texts without a piece
    to mark are left out. names: of the training sequences; None: their numbers, from 1. JSON turns the numbers of
    ``documents`` into strings.
    """
    shown: dict[str, list[dict[str, Any]]] = {}
    for condition, rows in texts.items():
        overlaps = longest_overlaps(rows, index)
        longest = sorted(range(len(rows)), key=lambda text: -int(overlaps[text]))[: max(most, 0)]
        read = [(text, copied_pieces(rows[text], index, decode)) for text in longest]
        shown[condition] = [
            {
                "text": text,
                **({"context": contexts[condition][text]} if contexts else {}),
                "overlap": int(overlaps[text]),
                "pieces": [list(piece) for piece in pieces],
                "documents": {
                    str(number): {
                        "name": names[number] if names else f"training sequence {number + 1}",
                        "begins": first_words(training[number], decode),
                    }
                    for number in dict.fromkeys(number for _, number in pieces if number is not None)
                },
            }
            for text, pieces in read
            if any(number is not None for _, number in pieces)
        ]
    return shown


def first_words(tokens: Sequence[int], decode: Callable[[Sequence[int]], str]) -> str:
    """The first words of a training sequence, white space collapsed."""
    words = decode(tokens[: 8 * FIRST_WORDS]).split()
    return " ".join(words[:FIRST_WORDS]) + (" …" if len(words) > FIRST_WORDS else "")
