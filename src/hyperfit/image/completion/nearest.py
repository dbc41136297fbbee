"""The training picture that a completion is nearest to: whether a model draws what it was trained on."""

import numpy as np
from numpy.typing import NDArray

from hyperfit.image.copies import squared_distances
from hyperfit.image.reading.decode import Pixels

Flat = NDArray[np.float32]


def nearest(completed: Pixels, training: Pixels, start: int = 0) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(int64[pictures], float64[pictures]): for each picture the place of the nearest training picture, and how far.

    The distance is the root mean square difference over the pixels from number ``start`` on, read row by row, and
    over red, green and blue: 0 for the same pixels, at most 255. NaN, and place -1, without training pictures.
    """
    if not len(training):
        return np.full(len(completed), -1), np.full(len(completed), np.nan)
    one, other = flat(completed, start), flat(training, start)
    far = squared_distances(one, other)
    places = far.argmin(axis=1)
    exact = ((one.astype(np.float64) - other[places]) ** 2).mean(axis=1)  # the expanded square has rounded
    return places.astype(np.int64), np.sqrt(exact)


def flat(pixels: Pixels, start: int) -> Flat:
    """float32[pictures, values]: red, green and blue of the pixels from number ``start`` on."""
    return pixels.reshape(len(pixels), -1, 3)[:, start:].reshape(len(pixels), -1).astype(np.float32)
