"""Grounds that fill a picture: plain, shaded, striped, chequered, dotted, ringed, of bricks, cloudy."""

import math
from collections.abc import Callable

import numpy as np
from PIL import Image

from hyperfit.image.shapes.canvas import Colours, Draw, Mask, Paint, grid, laid, shade


def plain(draw: Draw, colours: Colours, side: int) -> Paint:
    """One colour."""
    return np.broadcast_to(colours.one(draw), (side, side, 3))


def shaded(draw: Draw, colours: Colours, side: int) -> Paint:
    """From one colour to another."""
    return shade(side, *colours.pair(draw), float(draw.uniform(0, 2 * math.pi)))


def patterned(pattern: Callable[[Draw, int], Mask]) -> Callable[[Draw, Colours, int], Paint]:
    """A ground of two colours, of which a pattern says where the second one is."""

    def ground(draw: Draw, colours: Colours, side: int) -> Paint:
        one, other = colours.pair(draw)
        under = np.broadcast_to(one, (side, side, 3))
        if draw.random() < 0.3:
            under = shade(side, one, colours.one(draw), float(draw.uniform(0, 2 * math.pi)))
        return laid(under, other, pattern(draw, side))

    return ground


def stripes(draw: Draw, side: int) -> Mask:
    """Straight bands of one direction, often upright or level."""
    across, down = grid(side)
    angle = float(draw.choice([0, math.pi / 2, math.pi / 4, -math.pi / 4, float(draw.uniform(0, math.pi))]))
    along = across * math.cos(angle) + down * math.sin(angle)
    return np.asarray(((along * int(draw.integers(2, 6)) + draw.random()) % 1 < draw.uniform(0.3, 0.7)).astype(float))


def checks(draw: Draw, side: int) -> Mask:
    """A chessboard."""
    across, down = grid(side)
    count = int(draw.integers(2, 7))
    return np.asarray((((across * count).astype(int) + (down * count).astype(int)) % 2).astype(float))


def dots(draw: Draw, side: int) -> Mask:
    """Round dots in rows, every second row set off or not."""
    across, down = grid(side)
    count, off = int(draw.integers(2, 5)), float(draw.choice([0, 0.5]))
    row = np.floor(down * count)
    x, y = (across * count + off * (row % 2)) % 1 - 0.5, (down * count) % 1 - 0.5
    return np.asarray((np.hypot(x, y) < draw.uniform(0.2, 0.45)).astype(float))


def rings(draw: Draw, side: int) -> Mask:
    """Circles around a point, at even distances."""
    across, down = grid(side)
    far = np.hypot(across - draw.uniform(0, 1), down - draw.uniform(0, 1))
    return np.asarray(((far * int(draw.integers(3, 7))) % 1 < 0.5).astype(float))


def bricks(draw: Draw, side: int) -> Mask:
    """The joints of a wall."""
    across, down = grid(side)
    rows, wide = int(draw.integers(3, 6)), int(draw.integers(2, 4))
    row = np.floor(down * rows)
    upright = (across * wide + 0.5 * (row % 2)) % 1 < 0.18
    return np.asarray((((down * rows) % 1 < 0.22) | upright).astype(float))


def clouds(draw: Draw, side: int) -> Mask:
    """Soft spots of two sizes."""
    total = np.zeros((side, side))
    for cells, weight in ((3, 0.65), (7, 0.35)):
        few = Image.fromarray((draw.random((cells, cells)) * 255).astype(np.uint8))
        total += weight * np.asarray(few.resize((side, side), Image.Resampling.BICUBIC), np.float64) / 255
    return np.asarray((total - total.min()) / max(float(np.ptp(total)), 1e-9))


PATTERNS = (stripes, checks, dots, rings, bricks, clouds)
GROUNDS = (plain, shaded, shaded, *(patterned(pattern) for pattern in PATTERNS))


def ground(draw: Draw, colours: Colours, side: int) -> Paint:
    """Any of them."""
    return GROUNDS[int(draw.integers(len(GROUNDS)))](draw, colours, side)


def divided(draw: Draw, colours: Colours, side: int) -> Paint:
    """Two grounds beside, below or around each other."""
    across, down = grid(side)
    one, other = ground(draw, colours, side), ground(draw, colours, side)
    kind, at = int(draw.integers(4)), float(draw.uniform(0.3, 0.7))
    wave = at + 0.12 * np.sin(2 * math.pi * (across * int(draw.integers(1, 3)) + draw.random()))
    mask = (across < at, down < at, down < wave, np.maximum(abs(across - 0.5), abs(down - 0.5)) < at / 2)[kind]
    return laid(one, other, mask.astype(float))
