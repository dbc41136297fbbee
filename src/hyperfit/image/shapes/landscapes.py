"""Little landscapes: a sky of some hour, hills behind each other or the sea, the sun or the moon, trees, a house."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperfit.image.shapes.canvas import Draw, Paint, box, ellipse, grid, laid, polygon, shade


@dataclass(frozen=True)
class Hour:
    """The light of a time of day."""

    top: tuple[float, float, float]
    horizon: tuple[float, float, float]
    lamp: tuple[float, float, float]
    """Of the sun, or the moon."""
    light: float
    """By which the colours of the land are multiplied."""


HOURS = (
    Hour((0.25, 0.5, 0.9), (0.75, 0.88, 1.0), (1.0, 0.95, 0.5), 1.0),
    Hour((0.25, 0.5, 0.9), (0.75, 0.88, 1.0), (1.0, 0.95, 0.5), 1.0),
    Hour((0.3, 0.2, 0.5), (1.0, 0.6, 0.3), (1.0, 0.4, 0.2), 0.7),
    Hour((0.02, 0.03, 0.15), (0.1, 0.15, 0.35), (0.95, 0.95, 0.85), 0.4),
    Hour((0.55, 0.6, 0.65), (0.8, 0.8, 0.8), (0.9, 0.9, 0.85), 0.8),
)
LANDS = ((0.25, 0.55, 0.2), (0.45, 0.6, 0.25), (0.75, 0.65, 0.4), (0.5, 0.45, 0.4), (0.9, 0.92, 0.95), (0.6, 0.35, 0.2))
SEA = (0.15, 0.35, 0.55)


def landscape(draw: Draw, side: int) -> Paint:
    """A picture of one."""
    hour = HOURS[int(draw.integers(len(HOURS)))]
    horizon = float(draw.uniform(0.4, 0.7))
    picture = shade(side, np.array(hour.top), np.array(hour.horizon), math.pi / 2)
    lamp, size = (float(draw.uniform(0.15, 0.85)), float(draw.uniform(0.1, horizon))), float(draw.uniform(0.07, 0.15))
    if draw.random() < 0.75:
        picture = laid(picture, np.array(hour.lamp), ellipse(side, lamp, size, size))
    if hour.light == 1.0:
        for _ in range(int(draw.integers(3))):
            cloud = ellipse(side, (float(draw.random()), float(draw.uniform(0.05, 0.3))), 0.2, 0.06)
            picture = laid(picture, np.ones(3), 0.85 * cloud)
    if draw.random() < 0.3:
        picture = sea(draw, picture, horizon, hour)
    else:
        for layer in range(int(draw.integers(1, 4))):
            picture = hill(draw, picture, horizon + 0.14 * layer, hour)
        picture = grown(draw, picture, horizon, hour)
    return picture


def ridge(draw: Draw, side: int, at: float) -> NDArray[np.float64]:
    """float64[side]: how far down the land begins, in every column: rolling, or jagged."""
    across = (np.arange(side) + 0.5) / side
    if draw.random() < 0.35:
        peaks = int(draw.integers(2, 5))
        return at - 0.2 * np.abs(((across * peaks + draw.random()) % 1) - 0.5) + 0.05
    return at + 0.07 * np.sin(2 * math.pi * (across * float(draw.uniform(0.5, 2)) + draw.random()))


def hill(draw: Draw, picture: Paint, at: float, hour: Hour) -> Paint:
    """The land in front of what is drawn already."""
    side = len(picture)
    land = np.array(LANDS[int(draw.integers(len(LANDS)))]) * hour.light
    mask = (grid(side)[1] >= ridge(draw, side, at)[None]).astype(float)
    return laid(picture, shade(side, land * 1.1, land * 0.6, math.pi / 2).clip(0, 1), mask)


def sea(draw: Draw, picture: Paint, horizon: float, hour: Hour) -> Paint:
    """Water that mirrors, darker, what is above it, with a boat or none."""
    side = len(picture)
    line = round(horizon * side)
    rows = np.clip(2 * line - 1 - np.arange(side), 0, side - 1)
    water = 0.55 * picture[rows] + 0.45 * np.array(SEA) * hour.light
    picture = laid(picture, water, (np.arange(side) >= line)[:, None] * np.ones((side, side)))
    if draw.random() < 0.5:
        x, y, size = float(draw.uniform(0.2, 0.8)), horizon + 0.06, float(draw.uniform(0.1, 0.2))
        hull = [(x - size, y), (x + size, y), (x + 0.6 * size, y + 0.08), (x - 0.6 * size, y + 0.08)]
        picture = laid(picture, np.array([0.35, 0.15, 0.1]), polygon(side, hull))
        picture = laid(picture, np.ones(3) * 0.95, polygon(side, [(x, y - 2 * size), (x, y), (x + 0.8 * size, y)]))
    return picture


def grown(draw: Draw, picture: Paint, horizon: float, hour: Hour) -> Paint:
    """Trees, a house, or nothing, on the land."""
    side = len(picture)
    if draw.random() < 0.35:
        picture = house(draw, picture, (float(draw.uniform(0.2, 0.8)), horizon + float(draw.uniform(0.15, 0.3))), hour)
    for _ in range(int(draw.integers(4))):
        x, foot, size = float(draw.random()), horizon + float(draw.uniform(0.1, 0.35)), float(draw.uniform(0.08, 0.16))
        picture = laid(
            picture, np.array([0.35, 0.22, 0.1]) * hour.light, box(side, x - 0.03, foot - size, x + 0.03, foot)
        )
        leaves = np.array([0.1, 0.4, 0.15] if draw.random() < 0.8 else [0.8, 0.45, 0.1]) * hour.light
        if draw.random() < 0.5:
            crown = polygon(side, [(x - size, foot - 0.6 * size), (x + size, foot - 0.6 * size), (x, foot - 3 * size)])
        else:
            crown = ellipse(side, (x, foot - 1.6 * size), size, size)
        picture = laid(picture, leaves, crown)
    return picture


def house(draw: Draw, picture: Paint, foot: tuple[float, float], hour: Hour) -> Paint:
    """Walls, a roof, a door and a window, which is lit at night."""
    side, (x, y), size = len(picture), foot, float(draw.uniform(0.12, 0.2))
    wall = np.array([(0.9, 0.85, 0.7), (0.8, 0.3, 0.25), (0.7, 0.75, 0.85)][int(draw.integers(3))]) * hour.light
    picture = laid(picture, wall, box(side, x - size, y - 1.3 * size, x + size, y))
    roof = [(x - 1.25 * size, y - 1.25 * size), (x + 1.25 * size, y - 1.25 * size), (x, y - 2.3 * size)]
    picture = laid(picture, np.array([0.45, 0.15, 0.12]) * hour.light, polygon(side, roof))
    picture = laid(picture, wall * 0.4, box(side, x - 0.7 * size, y - 0.8 * size, x - 0.2 * size, y))
    pane = np.array([1.0, 0.85, 0.3]) if hour.light < 1 else np.array([0.35, 0.55, 0.75])
    return laid(picture, pane, box(side, x + 0.2 * size, y - 0.9 * size, x + 0.7 * size, y - 0.4 * size))
