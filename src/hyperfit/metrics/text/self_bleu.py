"""Self-BLEU: how much each text resembles the others."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from hyperfit.metrics.text.bleu import ORDERS, Floats, bleu
from hyperfit.metrics.text.ngrams import Ints


class SelfBleu:
    """BLEU of each text with all the others as references, exact, kept as texts are added.

    An n-gram of a text is clipped at the most that any other text holds of it. So only the one text
    that holds most of an n-gram has any unmatched: all that it holds more than the second does. An
    added text changes that for itself and for those it takes the lead from, and no pair of texts is
    ever compared: time and memory are linear in the tokens. Settings of BLEU: see ``bleu``.
    Source: Zhu et al. (2018).
    """

    def __init__(self, texts: Iterable[Sequence[int]] = ()) -> None:
        self._leads: dict[tuple[int, ...], tuple[int, int, int]] = {}
        """n-gram → text that holds most of it, how many times, how many times the second does"""
        self._unmatched: list[list[int]] = []
        """[texts][4]"""
        self._lengths: list[int] = []
        for tokens in texts:
            self.add(tokens)

    def add(self, tokens: Sequence[int]) -> None:
        """One text more; the work is that of its own n-grams, however many texts there are."""
        new = len(self._lengths)
        self._lengths.append(len(tokens))
        self._unmatched.append([0] * ORDERS)
        for order in range(ORDERS):
            for ngram, times in Counter(zip(*(tokens[start:] for start in range(order + 1)), strict=False)).items():
                leader, most, second = self._leads.get(ngram, (new, 0, 0))
                if times > most:
                    self._unmatched[leader][order] -= most - second
                    self._unmatched[new][order] += times - most
                    self._leads[ngram] = (new, times, most)
                elif times > second:
                    self._unmatched[leader][order] -= times - second
                    self._leads[ngram] = (leader, most, times)

    def scores(self) -> Floats:
        """float64[texts]: BLEU of each text against the others, 0 to 100; higher means more alike.

        NaN for a text without tokens, and for a single text. The mean is self-BLEU. It grows with the
        number of texts, so only equal numbers compare; and as the texts are each other's references,
        a bootstrap over these scores (``estimate``) gives an interval that is only approximate.
        """
        lengths = np.array(self._lengths, np.int64)
        total = np.maximum(lengths[:, None] - np.arange(ORDERS), 0)
        matched = total - np.array(self._unmatched, np.int64).reshape(-1, ORDERS)
        return bleu(matched, total, lengths, closest_other(lengths), effective_order=True)


def self_bleu(texts: Iterable[Sequence[int]]) -> Floats:
    """float64[texts]: ``SelfBleu(texts).scores()``."""
    return SelfBleu(texts).scores()


def closest_other(lengths: Ints) -> Floats:
    """float64[texts]: the length, among the other texts', closest to each; of two the shorter; NaN if alone."""
    if len(lengths) < 2:
        return np.full(len(lengths), np.nan)
    order = np.argsort(lengths, kind="stable")
    far = np.inf  # beyond either end there is none
    neighbours = np.concatenate([[-far], lengths[order], [far]])
    below, above = neighbours[:-2], neighbours[2:]
    found = np.empty(len(lengths))
    found[order] = np.where(lengths[order] - below <= above - lengths[order], below, above)
    return found
