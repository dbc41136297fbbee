"""The n-grams of some texts under numbers, and the same numbers for the n-grams of other texts."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

END = -1
"""Stands after each text; no n-gram goes across it. Token ids are 0 or more."""


def joined(texts: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """The texts as one stream, END after each; and for each place of it the index of its text."""
    stream = [np.asarray(part, np.int64) for tokens in texts for part in (tokens, (END,))]
    owner = np.repeat(np.arange(len(texts)), [len(tokens) + 1 for tokens in texts])
    return np.concatenate(stream) if stream else np.zeros(0, np.int64), owner


def in_chunks(texts: Iterable[Sequence[int]], tokens: int) -> Iterator[list[Sequence[int]]]:
    """The texts in order, in lists that end with the text that fills them to ``tokens`` tokens."""
    chunk, size = list[Sequence[int]](), 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= tokens:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


class Ngrams:
    """Numbers, from 0, for every n-gram of a stream, n = 1 .. ``most``; exact, without a hash.

    An n-gram's key holds the number of its first n - 1 tokens and the number of its last one.
    """

    def __init__(self, stream: Ints, most: int) -> None:
        self.known = [np.unique(stream[stream >= 0])]
        """Of each n, the sorted keys of its n-grams; an n-gram's number is its place among them."""
        tokens = longer = places(self.known[0], stream)
        for n in range(2, most + 1):
            keys = self.keys(longer, tokens, n)
            self.known.append(np.unique(keys[keys >= 0]))
            longer = places(self.known[-1], keys)

    def numbers(self, stream: Ints) -> list[Ints]:
        """Of each n, int64[stream]: the number of the n-gram that begins there; -1 if unknown or cut by an end."""
        tokens = places(self.known[0], stream)
        numbers = [tokens]
        for n, known in enumerate(self.known[1:], 2):
            numbers.append(places(known, self.keys(numbers[-1], tokens, n)))
        return numbers

    def keys(self, shorter: Ints, tokens: Ints, n: int) -> Ints:
        """int64[stream]: keys of the n-grams, from the numbers of the (n - 1)-grams and tokens; -1 where one is -1."""
        keys = np.full(len(tokens), -1, np.int64)
        first, last = shorter[: len(tokens) - n + 1], tokens[n - 1 :]
        whole = (first >= 0) & (last >= 0)
        keys[: len(whole)][whole] = first[whole] * len(self.known[0]) + last[whole]
        return keys


def places(known: Ints, keys: Ints) -> Ints:
    """int64[keys]: the place of each key among the sorted known ones; -1 for one that is not there."""
    if not len(known):
        return np.full(len(keys), -1, np.int64)
    found = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[found] == keys, found, -1)
