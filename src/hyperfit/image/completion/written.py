"""Pictures as text, a row a line and a colour a word: what goes where texts go; and drawn from that again."""

import base64
import io
import re

import numpy as np
from PIL import Image, ImageDraw

from hyperfit.image.reading.decode import Pixels

COLOUR = re.compile(r"#[0-9a-f]{6}")
SIDE = 256
"""Points on the longer side of a drawn picture, about: a pixel is a square of as many whole points as fit."""


def as_text(picture: Pixels, given: int) -> tuple[str, str]:
    """(context, continuation) of uint8[height, width, 3]: the first ``given`` pixels, read row by row, and the others.

    Both together are ``#rrggbb`` for each pixel, with a space between two of a row and a line end between two rows.
    """
    wide = picture.shape[1]
    words = [f"#{red:02x}{green:02x}{blue:02x}" for red, green, blue in picture.reshape(-1, 3).tolist()]
    parted = [("" if place == 0 else " " if place % wide else "\n") + word for place, word in enumerate(words)]
    return "".join(parted[:given]), "".join(parted[given:])


def picture_of(text: str) -> Pixels | None:
    """uint8[height, width, 3] of what ``as_text`` made of it, both parts together; None for any other text."""
    rows = [line.split(" ") for line in text.split("\n")]
    if not text.startswith("#") or len({len(row) for row in rows}) != 1:
        return None
    words = [word for row in rows for word in row]
    if not all(map(COLOUR.fullmatch, words)):
        return None
    values = np.frombuffer(bytes.fromhex("".join(word[1:] for word in words)), np.uint8)
    return values.reshape(len(rows), -1, 3)


def drawn(picture: Pixels, given: int = 0) -> str:
    """A PNG as data URI: every pixel a crisp square, and a line where the ``given`` ones end, if there are any."""
    high, wide, _ = picture.shape
    scale = max(1, SIDE // max(high, wide))
    sheet = Image.fromarray(np.repeat(np.repeat(picture, scale, axis=0), scale, axis=1))
    if 0 < given < high * wide:
        row, column = divmod(given, wide)
        below, above, turn = (row + 1) * scale, row * scale, column * scale
        line = [(0, below), (turn, below), (turn, above), (wide * scale, above)] if column else [
            (0, above), (wide * scale, above)
        ]  # fmt: skip
        pen = ImageDraw.Draw(sheet)
        for colour, width in (("white", 3), ("black", 1)):
            pen.line([(x, y - 1) for x, y in line], fill=colour, width=width)
    held = io.BytesIO()
    sheet.save(held, "PNG")
    return f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
