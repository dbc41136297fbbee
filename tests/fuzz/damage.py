"""Files damaged at random: bytes changed, cut out, doubled, cut off or put in, words and numbers exchanged."""

import random
import re
from collections.abc import Callable

STRANGE = (
    b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"{", b"}", b"[", b'"', b"\\u0000", b"\\ud800", b",", b"\n",
    b"\r", b"null", b"NaN", b"-Infinity", b"1e999", b"true", b"-1", b"99999999999999999999", b"\x7f\xff\xff\xff",
    b"../../x",
)  # fmt: skip
"""What may stand where it is not expected."""


def flipped(whole: bytes, draw: random.Random) -> bytes:
    """One to eight bytes are others."""
    new = bytearray(whole)
    for _ in range(draw.randint(1, 8)):
        new[draw.randrange(len(new))] = draw.randrange(256)
    return bytes(new)


def cut_off(whole: bytes, draw: random.Random) -> bytes:
    """The end is missing."""
    return whole[: draw.randrange(len(whole))]


def cut_out(whole: bytes, draw: random.Random) -> bytes:
    """A piece is missing."""
    start = draw.randrange(len(whole))
    return whole[:start] + whole[start + draw.randint(1, 64) :]


def doubled(whole: bytes, draw: random.Random) -> bytes:
    """A piece stands twice."""
    start = draw.randrange(len(whole))
    piece = whole[start : start + draw.randint(1, 64)]
    return whole[: start + len(piece)] + piece + whole[start + len(piece) :]


def put_in(whole: bytes, draw: random.Random) -> bytes:
    """Something strange stands somewhere."""
    start = draw.randrange(len(whole) + 1)
    return whole[:start] + draw.choice(STRANGE) + whole[start:]


def swapped(whole: bytes, draw: random.Random) -> bytes:
    """A word or number is another one, or something strange."""
    words = list(re.finditer(rb"[A-Za-z0-9_.+-]+", whole))
    if not words:
        return put_in(whole, draw)
    one, other = draw.choice(words), draw.choice([*STRANGE, draw.choice(words)[0]])
    return whole[: one.start()] + other + whole[one.end() :]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    cut_off,
    cut_out,
    doubled,
    put_in,
    swapped,
    swapped,
)


def damaged(whole: bytes, seed: int) -> bytes:
    """The bytes damaged in one to three of the WAYS, the same for the same seed."""
    draw = random.Random(seed)
    for _ in range(draw.randint(1, 3)):
        if whole:
            whole = draw.choice(WAYS)(whole, draw)
    return whole
