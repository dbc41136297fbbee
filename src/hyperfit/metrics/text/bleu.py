"""BLEU on token ids, equal to sacrebleu's on the same texts, and BLEU against the whole training data.

Settings (Papineni et al., 2002; Post, 2018): n-grams of 1 to 4 tokens, each clipped at the most that any
one reference holds of it; the closest reference length, of two equally close the shorter; smoothing "exp";
0 to 100. Of one text only the orders that it has count (sacrebleu's effective_order, the default of its
sentence_bleu), of a corpus all four (corpus_bleu). One thing differs: what is undefined is NaN, not 0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hyperfit.metrics.estimate import LEVEL, RESAMPLES, Estimate
from hyperfit.metrics.text.ngrams import Ints, Ngrams, in_chunks, joined

ORDERS = 4
"""Tokens of the longest n-grams."""
CHUNK = 1 << 18
"""Tokens of references held as numbers at a time."""

Floats = NDArray[np.float64]
Counts = Ints | Floats


def bleu(matched: Counts, total: Counts, length: Counts, reference_length: Counts, *, effective_order: bool) -> Floats:
    """float64[...]: BLEU, 0 to 100, of n-gram counts [..., 4], total and matched, and of lengths [...].

    100 x brevity penalty x geometric mean of matched / total. The k-th order without a match counts as
    1 / (2^k total) (smoothing "exp"); without any match at all the score is 0. NaN without a token or
    a reference, and, unless ``effective_order``, without an n-gram of every order.
    """
    has, unmatched = total > 0, (total > 0) & (matched == 0)
    smoothed = np.where(unmatched, 0.5 ** np.cumsum(unmatched, axis=-1), matched)
    logs = np.log(np.where(has, smoothed, 1) / np.maximum(total, 1)) * has
    orders = has.sum(axis=-1)
    defined = (orders == ORDERS if not effective_order else orders > 0) & ~np.isnan(reference_length)
    penalty = np.exp(np.minimum(1 - reference_length / np.maximum(length, 1), 0))
    score = 100 * penalty * np.exp(logs.sum(axis=-1) / np.maximum(orders, 1))
    return np.where(defined, np.where(matched.any(axis=-1), score, 0.0), np.nan)


@dataclass(frozen=True)
class BleuCounts:
    """What BLEU is computed from, text by text; sums over texts give a corpus."""

    matched: Ints
    """int64[texts, 4]: n-grams that a reference holds too, clipped"""
    total: Ints
    """int64[texts, 4]: n-grams"""
    length: Ints
    """int64[texts]: tokens"""
    reference_length: Floats
    """float64[texts]: tokens of the reference of closest length; NaN if there is none"""

    def per_text(self) -> Floats:
        """float64[texts]: BLEU of each text, 0 to 100; NaN for a text without tokens, or without references."""
        return bleu(self.matched, self.total, self.length, self.reference_length, effective_order=True)

    def of_excerpts(self) -> "BleuCounts":
        """The same without brevity penalty for texts that are shorter than every reference: they may be excerpts."""
        return replace(self, reference_length=np.minimum(self.reference_length, self.length))

    def corpus(self) -> Estimate:
        """BLEU of all texts as one corpus, 0 to 100, with its interval over resampled texts (Koehn, 2004).

        n counts the texts. NaN without references or without a 4-gram; no interval for one text.
        """
        rows: Floats = np.column_stack([self.matched, self.total, self.length, self.reference_length])
        value = float(of_sums(rows.sum(axis=0)))
        if len(rows) < 2 or math.isnan(value):
            return Estimate(value, math.nan, math.nan, len(rows))
        rng = np.random.default_rng(0)
        drawn = rng.multinomial(len(rows), np.full(len(rows), 1 / len(rows)), size=RESAMPLES)
        low, high = np.nanquantile(of_sums(drawn @ rows), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return Estimate(value, float(low), float(high), len(rows))


def of_sums(sums: Counts) -> Floats:
    """Corpus BLEU of the sums [..., 10] of the columns of BleuCounts, in their order."""
    matched, total = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    return bleu(matched, total, sums[..., -2], sums[..., -1], effective_order=False)


def bleu_counts(texts: Sequence[Sequence[int]], references: Sequence[Sequence[int]], chunk: int = CHUNK) -> BleuCounts:
    """Counts of each text against all references together: dataset BLEU, if those are the training data.

    The references pass by in chunks of about ``chunk`` tokens, of which only the n-grams that the
    texts hold are kept: memory grows with the texts and the chunk, not with the references.
    Source: "dataset BLEU" of Carlsson et al. (2025), whose settings are not known. Sequences of training data are often
    longer than the texts, and the penalty for brevity would then measure their length: see ``of_excerpts``.
    """
    stream, owner = joined(texts)
    ngrams = Ngrams(stream, ORDERS)
    most = [np.zeros(len(known), np.int64) for known in ngrams.known]
    for part in in_chunks(references, chunk):
        for most_of_one, counted in zip(most, counts(ngrams, *joined(part)), strict=True):
            np.maximum.at(most_of_one, counted.ngram, counted.times)
    matched, total = np.zeros((2, len(texts), ORDERS), np.int64)
    for order, counted in enumerate(counts(ngrams, stream, owner)):
        np.add.at(matched[:, order], counted.text, np.minimum(counted.times, most[order][counted.ngram]))
        np.add.at(total[:, order], counted.text, counted.times)
    lengths = np.array([len(tokens) for tokens in texts], np.int64)
    return BleuCounts(matched, total, lengths, closest(lengths, np.array([len(tokens) for tokens in references])))


@dataclass(frozen=True)
class Counted:
    """How many times each text holds each n-gram of one order that it holds; int64[pairs] each."""

    text: Ints
    ngram: Ints
    times: Ints


def counts(ngrams: Ngrams, stream: Ints, owner: Ints) -> list[Counted]:
    """The n-grams of each order in each text of a stream, in so far as they are known."""
    counted = []
    for known, numbers in zip(ngrams.known, ngrams.numbers(stream), strict=True):
        here = numbers >= 0
        pairs, times = np.unique(owner[here] * len(known) + numbers[here], return_counts=True)
        text, ngram = np.divmod(pairs, max(len(known), 1))
        counted.append(Counted(text, ngram, times))
    return counted


def closest(lengths: Ints, references: Ints) -> Floats:
    """float64[lengths]: the reference length closest to each length, of two the shorter; NaN if there is none."""
    if not len(references):
        return np.full(len(lengths), np.nan)
    there = np.unique(references)
    after = np.searchsorted(there, lengths)
    below, above = there[np.maximum(after - 1, 0)], there[np.minimum(after, len(there) - 1)]
    return np.where(np.abs(lengths - below) <= np.abs(above - lengths), below, above).astype(np.float64)
