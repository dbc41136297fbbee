"""Compression ratio: what is counted, what is undefined, and that repetition raises it."""

import gzip
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from hyperfit.metrics.text.compression import compression_ratio


def test_bytes_are_those_of_utf8_and_of_gzip() -> None:
    text = "naïve café " * 10  # 11 characters, 13 bytes
    assert compression_ratio(text) == 130 / len(gzip.compress(text.encode(), mtime=0))


def test_texts_are_joined_by_a_space() -> None:
    assert compression_ratio(["one two", "three"]) == compression_ratio("one two three")
    assert compression_ratio(["one two"]) == compression_ratio("one two")


def test_nothing_to_compress_is_undefined() -> None:
    assert math.isnan(compression_ratio(""))
    assert math.isnan(compression_ratio([]))


@given(st.text(min_size=1))
def test_ratio_is_positive(text: str) -> None:
    assert compression_ratio(text) > 0


def test_repetition_raises_it() -> None:
    letters = random.Random(0).choices("abcdefghijklmnopqrstuvwxyz ", k=4000)
    fresh = "".join(letters)
    repeated = [compression_ratio(fresh[: 4000 // times] * times) for times in (1, 4, 16, 64)]
    assert repeated == sorted(repeated)
    assert repeated[0] < 2 < 20 < repeated[-1]


def test_texts_that_share_something_compress_better_together() -> None:
    one, other = ("".join(random.Random(seed).choices("abcdefgh", k=2000)) for seed in (0, 1))
    assert compression_ratio([one, one]) > 1.5 * compression_ratio([one, other])
