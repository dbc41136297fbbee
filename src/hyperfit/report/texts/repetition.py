"""Where a text repeats itself, word for word."""

import re
import unicodedata
from collections import defaultdict
from dataclasses import dataclass

from scipy.cluster.hierarchy import DisjointSet

LEAST = 4
"""Words of the shortest span that counts as repeated."""


@dataclass(frozen=True)
class Word:
    """A word as it is compared, and the characters ``text[start:end]`` it stands for, punctuation included."""

    bare: str
    start: int
    end: int


def repeated_spans(text: str, least: int = LEAST) -> list[tuple[str, int | None]]:
    """The text in pieces, those that belong to a repeated span of at least ``least`` words with a colour.

    The pieces concatenate to the text; colours count from 0 in order of appearance; None means not
    repeated. Words are compared without case and punctuation. Every maximal repeated span has one
    colour throughout, equal spans have equal colours, and colours are as many as that allows: two
    spans share one only if they overlap somewhere in the text, directly or by way of others. A loop
    is coloured from end to end, with a new piece where the same words come round again. Words are
    what white space separates: scripts without it, such as Chinese, show no repetition.
    """
    words = split(text)
    spans = [(words[first].start, words[last].end, colour) for first, last, colour in runs(words, least)]
    pieces: list[tuple[str, int | None]] = []
    done = 0
    for start, end, colour in spans:
        pieces += [(text[done:start], None), (text[start:end], colour)]
        done = end
    return [(piece, colour) for piece, colour in [*pieces, (text[done:], None)] if piece]


def split(text: str) -> list[Word]:
    """The words of a text, in order; what holds no letter and no digit is none."""
    words = [Word(bare(match.group()), match.start(), match.end()) for match in re.finditer(r"\S+", text)]
    return [word for word in words if word.bare]


def bare(word: str) -> str:
    """A word's letters, marks and digits, without case."""
    return "".join(character for character in word.casefold() if unicodedata.category(character)[0] in "LMN")


def runs(words: list[Word], least: int) -> list[tuple[int, int, int]]:
    """(first word, last word, colour) of each repeated piece, in order."""
    colours = word_colours(words, least)
    pieces: list[tuple[int, int, int]] = []
    said: set[tuple[str, ...]] = set()
    for place, colour in enumerate(colours):
        gram = tuple(word.bare for word in words[place : place + least])
        if colour is None:
            continue
        first, last, before = pieces[-1] if pieces else (0, -2, -1)
        if (last, before) != (place - 1, colour) or (gram in said and place - first >= least):
            pieces.append((place, place, colour))
            said = {gram}
        else:
            pieces[-1] = (first, place, colour)
            said.add(gram)
    return pieces


def word_colours(words: list[Word], least: int) -> list[int | None]:
    """The colour of each word, or None. Words that stand in one repeated ``least``-gram, or in equal ones, share it."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for start in range(len(words) - least + 1):
        places[tuple(word.bare for word in words[start : start + least])].append(start)
    families: DisjointSet = DisjointSet()
    for starts in places.values():
        if len(starts) > 1:
            for place in (start + step for start in starts for step in range(least)):
                families.add(place)
                families.merge(starts[0], place)
    numbers: dict[int, int] = {}
    return [
        numbers.setdefault(families[place], len(numbers)) if place in families else None for place in range(len(words))
    ]
