"""Figures, shaded and with a rim or none, that hide what is behind them; and some that are their own mirror image."""

import math
from collections.abc import Callable

import numpy as np

from hyperfit.image.shapes.canvas import Colours, Draw, Mask, Paint, Point, box, ellipse, laid, polygon, shade

Shape = Callable[[Draw, int, Point, float], Mask]
"""(draw, side, middle, half of its size) → the figure's inside."""


def round_one(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """A disc, or an ellipse."""
    return ellipse(side, middle, size, size * float(draw.choice([1.0, 1.0, 0.6])))


def regular(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """A triangle, square, pentagon or hexagon, standing or turned."""
    corners, turned = int(draw.integers(3, 7)), float(draw.choice([-math.pi / 2, float(draw.uniform(0, math.pi))]))
    angles = [turned + 2 * math.pi * corner / corners for corner in range(corners)]
    return polygon(side, [(middle[0] + size * math.cos(a), middle[1] + size * math.sin(a)) for a in angles])


def star(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """A star of four to six points."""
    points, inner = int(draw.integers(4, 7)), size * float(draw.uniform(0.35, 0.5))
    turns = [(size if half % 2 == 0 else inner, math.pi * half / points - math.pi / 2) for half in range(2 * points)]
    return polygon(side, [(middle[0] + r * math.cos(a), middle[1] + r * math.sin(a)) for r, a in turns])


def cross(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """An upright cross."""
    arm, (x, y) = size * float(draw.uniform(0.25, 0.45)), middle
    return np.maximum(box(side, x - size, y - arm, x + size, y + arm), box(side, x - arm, y - size, x + arm, y + size))


def ring(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """A disc with a hole."""
    return ellipse(side, middle, size, size) - ellipse(side, middle, 0.55 * size, 0.55 * size)


def crescent(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """A disc without a part of it."""
    off = (middle[0] + size * 0.5, middle[1] - size * 0.2)
    return ellipse(side, middle, size, size) * (1 - ellipse(side, off, size * 0.85, size * 0.85))


def block(draw: Draw, side: int, middle: Point, size: float) -> Mask:
    """An upright rectangle."""
    high = size * float(draw.uniform(0.4, 1.3))
    return box(side, middle[0] - size, middle[1] - high, middle[0] + size, middle[1] + high)


SHAPES: tuple[Shape, ...] = (round_one, round_one, regular, star, cross, ring, crescent, block)


def figure(draw: Draw, colours: Colours, under: Paint, middle: Point, size: float) -> Paint:
    """A picture with a figure laid on it: plain, or lit from one side, and with a rim or none."""
    side, shape = len(under), SHAPES[int(draw.integers(len(SHAPES)))]
    seed = int(draw.integers(2**32))  # a rim is the same figure, a little larger
    one, other = colours.pair(draw)
    if draw.random() < 0.3:
        under = laid(under, other, shape(np.random.default_rng(seed), side, middle, size * 1.3))
    lit = shade(side, one, 0.45 * one + 0.55 * other, float(draw.uniform(0, 2 * math.pi)))
    return laid(under, lit if draw.random() < 0.6 else one, shape(np.random.default_rng(seed), side, middle, size))


def mirrored(draw: Draw, colours: Colours, under: Paint) -> Paint:
    """A picture with a figure that is its own mirror image: a beast of cells, a flower, or a face."""
    return (beast, flower, face)[int(draw.integers(3))](draw, colours, under)


def beast(draw: Draw, colours: Colours, under: Paint) -> Paint:
    """Cells of two colours whose right half mirrors the left one."""
    side = len(under)
    cells = int(draw.choice([5, 7, 8]))
    left = draw.choice(3, size=(cells, (cells + 1) // 2), p=[0.35, 0.45, 0.2])
    whole = np.concatenate([left, left[:, : cells // 2][:, ::-1]], axis=1)
    rim = round(side * float(draw.choice([0, 0.125])))
    places = (2 * (np.arange(side) - rim) + 1) * cells // (2 * max(side - 2 * rim, 1))  # of the middles of pixels
    inside = (places >= 0) & (places < cells) & (np.arange(side) < side - rim)
    spread = whole[places.clip(0, cells - 1)][:, places.clip(0, cells - 1)] * (inside[:, None] & inside[None])
    for kind, paint in zip((1, 2), colours.pair(draw), strict=True):
        under = laid(under, paint, (spread == kind).astype(float))
    return under


def flower(draw: Draw, colours: Colours, under: Paint) -> Paint:
    """Petals around a middle, on a stem or none."""
    side, (one, other), middle = len(under), colours.pair(draw), (0.5, float(draw.choice([0.5, 0.38])))
    petals, far, size = int(draw.integers(4, 9)), float(draw.uniform(0.18, 0.26)), float(draw.uniform(0.1, 0.16))
    if middle[1] < 0.5:
        green = np.array([0.15, 0.5, 0.2])
        under = laid(under, green, box(side, 0.46, 0.5, 0.54, 1.0))
        for way in (-1, 1):
            under = laid(under, green, ellipse(side, (0.5 + 0.14 * way, 0.8), 0.12, 0.06))
    for petal in range(petals):
        turn = 2 * math.pi * petal / petals - math.pi / 2
        at = (middle[0] + far * math.cos(turn), middle[1] + far * math.sin(turn))
        under = laid(under, one, ellipse(side, at, size, size))
    return laid(under, other, ellipse(side, middle, 0.6 * far, 0.6 * far))


def face(draw: Draw, colours: Colours, under: Paint) -> Paint:
    """A head with ears or none, two eyes and a mouth."""
    side, (skin, dark) = len(under), sorted(colours.pair(draw), key=lambda one: -float(one.sum()))
    wide, high = float(draw.uniform(0.3, 0.42)), float(draw.uniform(0.32, 0.42))
    ears, apart = int(draw.integers(3)), float(draw.uniform(0.12, 0.18))
    for way in (-1, 1):
        if ears == 1:
            under = laid(under, skin, ellipse(side, (0.5 + way * wide * 0.8, 0.5 - high * 0.8), 0.12, 0.12))
        elif ears == 2:
            tip = (0.5 + way * wide * 0.95, 0.5 - high * 1.3)
            base = [(0.5 + way * wide * 0.3, 0.5 - high * 0.8), (0.5 + way * wide * 0.95, 0.5 - high * 0.3)]
            under = laid(under, skin, polygon(side, [tip, *base]))
    under = laid(under, skin, ellipse(side, (0.5, 0.5), wide, high))
    for way in (-1, 1):
        under = laid(under, np.ones(3), ellipse(side, (0.5 + way * apart, 0.43), 0.08, 0.08))
        under = laid(under, dark, ellipse(side, (0.5 + way * apart, 0.44), 0.05, 0.05))
    open_mouth = float(draw.choice([0.03, 0.08]))
    return laid(under, dark, ellipse(side, (0.5, 0.5 + high * 0.5), float(draw.uniform(0.08, 0.18)), open_mouth))
