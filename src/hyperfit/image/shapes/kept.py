"""The pictures of ``builtin:shapes``: drawn the first time, which takes a minute, and then kept."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np

from hyperfit.console import progress
from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Pixels
from hyperfit.image.shapes.scenes import picture
from hyperfit.models.files.dequantise import cache_folder
from hyperfit.runs.files import writing


def shapes(numbers: Sequence[int], side: int) -> Pixels:
    """uint8[pictures, side, side, 3], from the cache folder of built-in models if they are kept there.

    A folder that cannot be written to, or is full, is no reason to refuse: then they are drawn every time.
    """
    file = cache_folder() / f"shapes-{drawing()}-{side}-{numbers[0]}-{numbers[-1]}.npy"
    size = (len(numbers), side, side, 3)
    with suppress(OSError, ValueError, EOFError):  # absent, or damaged
        kept = np.load(file)
        if kept.shape == size and kept.dtype == np.uint8:
            return np.asarray(kept)
    made = np.empty(size, np.uint8)
    with progress("drawing pictures", len(numbers)) as advance:
        for place, number in enumerate(numbers):
            made[place] = picture(number, side)
            advance(1)
    with suppress(OSError, UserError), writing(file) as aside, aside.open("wb") as opened:
        np.save(opened, made)
    return made


@cache
def drawing() -> str:
    """What tells one version of the drawing from another: the beginning of the SHA-256 of its code."""
    code = b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
    return hashlib.sha256(code).hexdigest()[:12]
