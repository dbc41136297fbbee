"""How a completed picture repeats itself: its colours, along its rows and columns, and row for row."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hyperfit.metrics.text.loops import ending_loop

GRAM = 4
"""Pixels in a row, or in a column, that are compared."""
LEAST_ROWS = 3
"""Rows, and rounds, of the shortest loop."""

Tokens = NDArray[np.int64]
"""int64[height, width]: the colours of one picture."""


def colour_ttr(tokens: Tokens, given: int) -> float:
    """Different colours / pixels of what was added behind ``given`` pixels: in (0, 1]; small for any plain picture.

    The type-token ratio of text. It depends on how many pixels there are, so compare pictures of one size and share.
    """
    added = tokens.reshape(-1)[given:]
    return len(np.unique(added)) / len(added) if len(added) else math.nan


def added_rows(tokens: Tokens, given: int) -> Tokens:
    """int64[rows, width]: the rows of which nothing was given."""
    return tokens[-(-given // tokens.shape[1]) :]


def line_repetition(lines: Tokens) -> float:
    """1 - different runs of four pixels / all of them, over int64[lines, length]: in [0, 1), 0 if no run comes twice.

    The n-gram repetition of text (Welleck et al., 2020), with runs that do not go from one line to the next. NaN where
    lines are shorter than four pixels.
    """
    if not len(lines) or lines.shape[1] < GRAM:
        return math.nan
    grams = np.lib.stride_tricks.sliding_window_view(lines, GRAM, axis=1).reshape(-1, GRAM)
    return 1 - len(np.unique(grams, axis=0)) / len(grams)


def row_repetition(tokens: Tokens, given: int) -> float:
    """``line_repetition`` of the rows of which nothing was given."""
    return line_repetition(added_rows(tokens, given))


def column_repetition(tokens: Tokens, given: int) -> float:
    """``line_repetition`` of the columns of these rows."""
    return line_repetition(added_rows(tokens, given).T)


def row_likeness(tokens: Tokens, given: int) -> float:
    """Pixels of the added rows that have the colour of the one above / all of them: in [0, 1], 1 if one row repeats.

    The row above the first one counts as above it, even where it was given. NaN if nothing but one row is there.
    """
    first = max(tokens.shape[0] - len(added_rows(tokens, given)), 1)
    same = tokens[first:] == tokens[first - 1 : -1]
    return float(same.mean()) if same.size else math.nan


def row_loop(tokens: Tokens, given: int) -> tuple[float, float]:
    """(1 if the added rows end in a loop, else 0; rows before it, NaN without one).

    A loop is three rounds of rows or more, pixel for pixel the same, to the end of the picture
    (``hyperfit.metrics.text.loops``, with rows for tokens): one row three times, or two rows in turn, six rows long.
    NaN where there are fewer than three rows.
    """
    rows = added_rows(tokens, given)
    if len(rows) < LEAST_ROWS:
        return math.nan, math.nan
    numbers: Sequence[int] = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).tolist()
    loop = ending_loop(numbers, rounds=LEAST_ROWS, least=LEAST_ROWS)
    return float(loop is not None), math.nan if loop is None else float(loop.onset)
