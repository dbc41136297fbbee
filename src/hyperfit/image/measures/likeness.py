"""How far completions are from how the pictures really go on: colours, spectrum, and whether they can be told apart."""

import math

import numpy as np
from numpy.typing import NDArray

from hyperfit.image.reading.decode import Pixels

LEVELS = 4
"""Of red, green and blue each, into which colours are sorted."""
LUMA = np.array([0.299, 0.587, 0.114])
"""Brightness of red, green and blue (ITU-R BT.601)."""
RIDGE = 1.0
"""Weight of the squared coefficients of the classifier."""
FLOOR = 1.0
"""Added to the power at every frequency: what is below is rounding of 8 bits."""


def colour_distance(made: Pixels, real: Pixels, given: int) -> float:
    """Half the sum of the differences of two pictures' colour shares, over 64 boxes of colours: in [0, 1].

    0: the same shares of the same colours, wherever they are; 1: no colour in common. Of uint8[height, width, 3] each,
    behind the first ``given`` pixels. The total variation distance.
    """
    shares = []
    for one in (made, real):
        boxes = one.reshape(-1, 3)[given:].astype(np.int64) * LEVELS // 256
        counts = np.bincount(boxes @ np.array([LEVELS**2, LEVELS, 1]), minlength=LEVELS**3)
        shares.append(counts / max(counts.sum(), 1))
    return float(np.abs(shares[0] - shares[1]).sum() / 2)


def spectrum(pixels: Pixels | NDArray[np.float64]) -> NDArray[np.float64]:
    """float64[frequencies]: log10 of the mean power of a picture's brightness at 1, 2, ... waves a side, up to half.

    Of [height, width, 3] from 0 to 255; what is brighter everywhere does not count.
    """
    bright = pixels @ LUMA
    power = np.abs(np.fft.fft2(bright - bright.mean())) ** 2 / bright.size
    down, across = (np.fft.fftfreq(side) * side for side in bright.shape)
    waves = np.rint(np.hypot(down[:, None], across[None])).astype(np.int64)
    most = min(bright.shape) // 2
    total = np.bincount(waves.reshape(-1), power.reshape(-1), minlength=most + 1)[1 : most + 1]
    count = np.bincount(waves.reshape(-1), minlength=most + 1)[1 : most + 1]
    return np.asarray(np.log10(total / count + FLOOR))


def spectrum_distance(made: Pixels, real: Pixels, given: int) -> float:
    """Root mean square difference of two ``spectrum`` of the rows of which nothing was given; 0 or more.

    1 is ten times the power, or a tenth, at every frequency. NaN for fewer than four rows.
    """
    first = -(-given // real.shape[1])
    if real.shape[0] - first < 4:
        return math.nan
    return float(np.sqrt(np.mean((spectrum(made[first:]) - spectrum(real[first:])) ** 2)))


def features(pixels: Pixels, given: int) -> NDArray[np.float64]:
    """float64[features]: what a picture looks like in the rows of which nothing was given.

    Mean and spread of red, green and blue, mean difference of neighbours across and down, and the ``spectrum``.
    """
    rows = pixels[-(-given // pixels.shape[1]) :].astype(np.float64)
    edges = [np.abs(np.diff(rows, axis=axis)).mean() if rows.shape[axis] > 1 else 0.0 for axis in (0, 1)]
    colours = rows.reshape(-1, 3)
    return np.asarray([*colours.mean(axis=0), *colours.std(axis=0), *edges, *spectrum(rows)])


def told_apart(made: NDArray[np.float64], real: NDArray[np.float64]) -> list[float]:
    """For all pictures of both, 1 if a classifier that has seen the others tells which kind it is, else 0.

    On average about 0.5 if completions look like real continuations, and 1 if they can be told from them. Where each
    completion is its original, nearly, it falls below 0.5, as the classifier has seen the twin under the other name.
    The two-sample test by a classifier (Lopez-Paz and Oquab, 2017), here ridge regression on features of unit
    variance, with every picture left out once. Of float64[pictures, features] each. NaN for fewer than two of each.
    """
    if min(len(made), len(real)) < 2:
        return [math.nan] * (len(made) + len(real))
    seen = np.concatenate([made, real])
    scale = seen.std(axis=0)
    seen = (seen - seen.mean(axis=0)) / np.where(scale > 0, scale, 1)
    seen = np.concatenate([seen, np.ones((len(seen), 1))], axis=1)
    kind = np.where(np.arange(len(seen)) < len(made), 1.0, -1.0)
    hat = seen @ np.linalg.solve(seen.T @ seen + RIDGE * np.eye(seen.shape[1]), seen.T)
    left_out = kind - (kind - hat @ kind) / (1 - np.diag(hat))  # the prediction of a fit without the picture itself
    return [float(right) for right in left_out * kind > 0]


def told_apart_in_pairs(made: NDArray[np.float64], real: NDArray[np.float64]) -> list[float]:
    """For each completion the mean of ``told_apart`` over it and its original: 0, 0.5 or 1.

    Their mean is that of ``told_apart``, and completion and original, which have much in common, count as one.
    """
    found = np.array(told_apart(made, real)).reshape(2, -1)
    return [float(one) for one in found.mean(axis=0)]
