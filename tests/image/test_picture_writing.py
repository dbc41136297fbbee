"""Pictures as text and back, and drawn with a line where what was given ends."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from hyperfit.image.completion.written import as_text, drawn, picture_of


def test_by_hand() -> None:
    picture = np.array([[[255, 0, 0], [0, 128, 1]], [[0, 0, 0], [255, 255, 255]]], np.uint8)
    assert as_text(picture, 1) == ("#ff0000", " #008001\n#000000 #ffffff")
    assert as_text(picture, 2) == ("#ff0000 #008001", "\n#000000 #ffffff")
    assert as_text(picture, 0)[0] == ""


@settings(max_examples=40, deadline=None)
@given(high=st.integers(1, 5), wide=st.integers(1, 5), seed=st.integers(0, 9), share=st.floats(0, 1))
def test_there_and_back(high: int, wide: int, seed: int, share: float) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (high, wide, 3), dtype=np.uint8)
    found = picture_of("".join(as_text(picture, round(share * high * wide))))
    assert found is not None
    assert np.array_equal(found, picture)


@pytest.mark.parametrize("text", ["", "#", "# A heading", "#ff0000 #ff000", "#ff0000 #00ff00\n#ff0000", "#FF0000", "a"])
def test_what_is_no_picture(text: str) -> None:
    assert picture_of(text) is None


def opened(uri: str) -> np.ndarray:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def test_every_pixel_is_a_crisp_square_and_a_line_ends_what_was_given() -> None:
    picture = np.full((8, 8, 3), 90, np.uint8)
    picture[5:] = 200
    plain = opened(drawn(picture))
    assert plain.shape == (256, 256, 3)
    assert np.array_equal(plain, np.repeat(np.repeat(picture, 32, 0), 32, 1))
    marked = opened(drawn(picture, given=16))
    changed = np.flatnonzero((marked != plain).any(axis=(1, 2)))
    assert changed.min() >= 60
    assert changed.max() <= 66, "about the end of the second row, of 32 points each"
    colours = {tuple(one) for one in marked[changed].reshape(-1, 3).tolist()}
    assert colours == {(0, 0, 0), (255, 255, 255)}, "to be seen on any colour"
    stepped = opened(drawn(picture, given=19))
    assert (stepped[:, :90] != plain[:, :90]).any(axis=(1, 2)).argmax() > 90, "left of the step a row lower"
    assert (stepped[:, 100:] != plain[:, 100:]).any(axis=(1, 2)).argmax() < 66
    assert np.array_equal(opened(drawn(picture, given=64)), plain)
