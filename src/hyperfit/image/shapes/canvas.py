"""What pictures are drawn on: colours that go together, masks of figures, shades, and paint laid on through a mask."""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Draw = np.random.Generator
Paint = NDArray[np.float64]
"""float64[side, side, 3] or float64[3]: red, green and blue, 0 to 1."""
Mask = NDArray[np.float64]
"""float64[side, side]: how much of a pixel is covered, 0 to 1."""
Point = tuple[float, float]
"""Across and down, 0 to 1 inside of the picture."""


@dataclass(frozen=True)
class Colours:
    """Colours of a picture: few hues, of different lightness."""

    hues: tuple[float, ...]

    @classmethod
    def drawn(cls, draw: Draw) -> "Colours":
        """One to three hues: alike, opposite, or evenly spread."""
        first = float(draw.random())
        steps = ((0.0, 0.08, 0.5), (0.0, 0.5, 0.45), (0.0, 1 / 3, 2 / 3), (0.0, 0.05, 0.1))[int(draw.integers(4))]
        return cls(tuple((first + step) % 1 for step in steps))

    def one(self, draw: Draw, light: float | None = None) -> Paint:
        """A colour of one of the hues; light: from 0, nearly black, to 1, nearly white; None for any."""
        light = float(draw.uniform(0.1, 0.95)) if light is None else light
        strength = float(draw.choice([0.1, 0.55, 0.85]))
        hue = self.hues[int(draw.integers(len(self.hues)))]
        return np.array(colorsys.hls_to_rgb(hue, light, strength))

    def pair(self, draw: Draw) -> tuple[Paint, Paint]:
        """Two colours that can be told apart, the darker one first or second."""
        dark, light = self.one(draw, float(draw.uniform(0.08, 0.4))), self.one(draw, float(draw.uniform(0.55, 0.95)))
        return (dark, light) if draw.random() < 0.5 else (light, dark)


def grid(side: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(across, down) of the middles of all pixels, float64[side, side] each."""
    middle = (np.arange(side) + 0.5) / side
    return np.broadcast_to(middle[None], (side, side)), np.broadcast_to(middle[:, None], (side, side))


def laid(under: Paint, paint: Paint, mask: Mask) -> Paint:
    """``paint`` over a picture where the mask covers it."""
    return np.asarray(under * (1 - mask[..., None]) + paint * mask[..., None])


def shade(side: int, one: Paint, other: Paint, angle: float) -> Paint:
    """float64[side, side, 3]: from one colour to another, in the direction of an angle (0: left to right)."""
    across, down = grid(side)
    along = (across - 0.5) * math.cos(angle) + (down - 0.5) * math.sin(angle)
    share = ((along / (abs(math.cos(angle)) + abs(math.sin(angle)))) + 0.5)[..., None]
    return np.asarray(one * (1 - share) + other * share)


def polygon(side: int, points: Sequence[Point]) -> Mask:
    """The inside of a polygon."""
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).polygon([(x * side, y * side) for x, y in points], fill=255)
    return np.asarray(image, np.float64) / 255


def ellipse(side: int, middle: Point, across: float, down: float) -> Mask:
    """The inside of an ellipse with these half axes."""
    x, y = grid(side)
    return np.asarray((((x - middle[0]) / across) ** 2 + ((y - middle[1]) / down) ** 2 <= 1).astype(np.float64))


def box(side: int, left: float, top: float, right: float, bottom: float) -> Mask:
    """The inside of an upright rectangle."""
    x, y = grid(side)
    return np.asarray(((x >= left) & (x < right) & (y >= top) & (y < bottom)).astype(np.float64))
