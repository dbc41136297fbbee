"""A picture by its number, always the same: a landscape, figures before a ground, a symmetric figure, or a texture."""

from collections.abc import Iterable

import numpy as np

from hyperfit.image.reading.decode import Pixels
from hyperfit.image.shapes.canvas import Colours, Draw, Paint
from hyperfit.image.shapes.figures import figure, mirrored
from hyperfit.image.shapes.grounds import divided, ground
from hyperfit.image.shapes.landscapes import landscape

FINER = 3
"""Pictures are drawn so many times as large on each side, and each pixel is the mean of what falls into it."""
SEED = 20
"""Another one gives other pictures."""


def picture(number: int, side: int) -> Pixels:
    """uint8[side, side, 3]: the picture of this number, in any size."""
    draw = np.random.default_rng([SEED, number])
    fine = scene(draw, side * FINER).reshape(side, FINER, side, FINER, 3).mean(axis=(1, 3))
    return np.asarray(np.rint(fine.clip(0, 1) * 255).astype(np.uint8))


def pictures(numbers: Iterable[int], side: int) -> Pixels:
    """uint8[pictures, side, side, 3]."""
    return np.stack([picture(number, side) for number in numbers])


def scene(draw: Draw, side: int) -> Paint:
    """float64[side, side, 3]: one of the four kinds."""
    kind, colours = float(draw.random()), Colours.drawn(draw)
    if kind < 0.35:
        return landscape(draw, side)
    if kind < 0.7:
        seen = ground(draw, colours, side) if draw.random() < 0.7 else divided(draw, colours, side)
        for _ in range(int(draw.integers(1, 5))):
            middle = (float(draw.uniform(0.15, 0.85)), float(draw.uniform(0.15, 0.85)))
            seen = figure(draw, colours, seen, middle, float(draw.uniform(0.12, 0.35)))
        return seen
    if kind < 0.88:
        return mirrored(draw, colours, ground(draw, colours, side))
    return divided(draw, colours, side)
