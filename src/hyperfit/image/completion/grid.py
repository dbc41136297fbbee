"""Pictures side by side under headings, as one PNG: every pixel a crisp square."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hyperfit.image.reading.decode import Pixels
from hyperfit.runs.files import writing

CELL = 112
"""Points on the longer side of a picture, at least: a pixel is a square of as many whole points as fit."""
GAP, LINE = 8, 14
UNKNOWN = ((205, 205, 205), (230, 230, 230))
"""The chessboard that stands for pixels that are not given."""


@dataclass(frozen=True)
class Column:
    """Pictures of one kind, a row each."""

    heading: str
    """One word a line: columns are narrow."""
    pixels: Pixels
    """uint8[rows, height, width, 3]"""


def with_unknown(pixels: Pixels, given: int) -> Pixels:
    """uint8[pictures, height, width, 3]: the first ``given`` pixels, read row by row, and a chessboard for the rest."""
    shown = pixels.copy()
    _, high, wide, _ = shown.shape
    row, column = np.divmod(np.arange(high * wide), wide)
    board = np.array(UNKNOWN, np.uint8)[(row + column) % 2]
    shown.reshape(len(shown), -1, 3)[:, given:] = board[given:]
    return shown


def draw_grid(columns: Sequence[Column]) -> Image.Image:
    """A picture of all rows, the columns from left to right, every pixel a square of whole points."""
    rows, high, wide, _ = columns[0].pixels.shape
    scale = max(1, CELL // max(high, wide))
    across, down = wide * scale + GAP, high * scale + GAP
    head = LINE * max(len(column.heading.split()) for column in columns) + GAP
    sheet = Image.new("RGB", (len(columns) * across + GAP, rows * down + head + GAP), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default()
    for place, column in enumerate(columns):
        left = GAP + place * across
        for number, word in enumerate(column.heading.split()):
            pen.text((left, GAP // 2 + number * LINE), word, fill="black", font=font)
        for row, one in enumerate(column.pixels):
            large = np.repeat(np.repeat(one, scale, axis=0), scale, axis=1)
            sheet.paste(Image.fromarray(large), (left, head + row * down))
    return sheet


def write_grid(columns: Sequence[Column], target: Path) -> None:
    """Write the grid as a PNG file, whole or not at all."""
    with writing(target) as aside:
        draw_grid(columns).save(aside, "PNG")
