"""What is written in a plot: names and ticks that do not stand on each other, tokens that the font can show."""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise

from matplotlib import font_manager

MOST_TICKS = 8
LINE = 11
"""Points of a line of text."""


def lifts(heights: Sequence[float], apart: float = LINE) -> list[float]:
    """How far to move labels at these heights so that none stands on another; all in points."""
    order = sorted(range(len(heights)), key=heights.__getitem__)
    moved = list(heights)
    for _ in order * 2:
        for low, high in pairwise(order):
            overlap = apart - (moved[high] - moved[low])
            if overlap > 0:
                moved[low], moved[high] = moved[low] - overlap / 2, moved[high] + overlap / 2
    return [new - old for new, old in zip(moved, heights, strict=True)]


def thinned(places: Sequence[float], scale: Callable[[float], float] = float, most: int = MOST_TICKS) -> list[float]:
    """Rising places, without those that stand closer to one that is kept than a ``most``-th of the whole."""
    shown: list[float] = []
    for place in places:
        if not shown or (scale(place) - scale(shown[-1])) * most >= (scale(places[-1]) - scale(places[0])) * 0.999:
            shown.append(place)
    return shown


@cache
def _glyphs() -> frozenset[int]:
    """Characters of the font in which plots are set."""
    font = font_manager.get_font(font_manager.findfont("DejaVu Sans"))
    return frozenset(font.get_charmap())


def readable(token: str, most: int) -> str:
    """A token as a label: line ends shown, at most ``most`` characters, a box for what the font lacks."""
    text = token.strip(" ").replace("\n", "↵") or "␣"
    text = "".join(letter if letter.isprintable() and ord(letter) in _glyphs() else "□" for letter in text)
    return text if len(text) <= most else f"{text[: most - 1]}…"
