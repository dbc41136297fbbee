"""Which pictures are near-copies of each other: what must not stand on both sides of a split."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from hyperfit.image.reading.decode import Pixels

THUMB = 8
"""Pixels on each side of what is compared."""
ALIKE = 5.0
"""Root mean square difference of two near-copies at most, of 255; other compression or a cut edge makes less."""
AT_ONCE = 1024
"""Pictures that are compared with all behind them."""


def near_copies(pixels: Pixels) -> list[int]:
    """For each of uint8[pictures, height, width, 3] the number of its group; near-copies of each other are in one.

    Two pictures are near-copies if one, or its mirror image, made as small as 8 by 8 pixels, differs from the other by
    5 of 255 at most (root mean square over pixels and colours). So are recompressed, slightly cut and mirrored ones,
    and near-copies of near-copies. Time grows with the square of the pictures: a minute for 50,000.
    """
    thumbs = thumbnails(pixels)
    mirrored = thumbs[:, :, ::-1].reshape(len(thumbs), -1)
    plain = thumbs.reshape(len(thumbs), -1)
    limit = ALIKE**2 * plain.shape[1]
    one, other = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for start in range(0, len(plain), AT_ONCE):
        some, behind = plain[start : start + AT_ONCE], slice(start, None)
        for against in (plain[behind], mirrored[behind]):
            rows, columns = np.nonzero(squared_distances(some, against) <= limit)
            one.append(rows + start)
            other.append(columns + start)
    rows, columns = np.concatenate(one), np.concatenate(other)
    links = coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(len(plain), len(plain)))
    return [int(group) for group in connected_components(links, directed=False)[1]]


def thumbnails(pixels: Pixels) -> NDArray[np.float32]:
    """float32[pictures, high, wide, 3]: each picture of at most 8 by 8 pixels, every one the mean of what it covers."""
    high, wide = (min(side, THUMB) for side in pixels.shape[1:3])
    small = [np.asarray(Image.fromarray(one).resize((wide, high), Image.Resampling.BOX)) for one in pixels]
    return np.asarray(small, np.float32).reshape(len(pixels), high, wide, 3)


def squared_distances(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """float32[rows of one, rows of other]: squared Euclidean distances."""
    lengths = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1)[None]
    return np.asarray((lengths - 2 * one @ other.T).clip(0))
