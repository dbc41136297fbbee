"""Encoded pictures of every kind become red, green and blue of one size, or are refused with the reason."""

import io
import struct
import zlib
from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from hyperfit.image.reading.decode import (
    CLEAR,
    CMYK,
    CROPPED,
    DEEP,
    GREY,
    RESIZED,
    TURNED,
    Frame,
    Unusable,
    decode,
)

FRAME = Frame(4, 4)


def encoded(image: Image.Image, kind: str = "PNG", **settings: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **settings)  # type: ignore[arg-type]
    return file.getvalue()


def plain(colour: object, size: tuple[int, int] = (4, 4), mode: str = "RGB") -> Image.Image:
    return Image.new(mode, size, colour)  # type: ignore[arg-type]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_picture_of_the_right_size_keeps_every_pixel() -> None:
    pixels = noise(4, 4)
    found, changed = decode(encoded(Image.fromarray(pixels)), FRAME)
    assert np.array_equal(found, pixels)
    assert changed == set()


@pytest.mark.parametrize(
    ("image", "colour", "changed"),
    [
        (plain(90, mode="L"), (90, 90, 90), {GREY}),
        (plain(1, mode="1"), (255, 255, 255), {GREY}),
        (plain((10, 20, 30, 255), mode="RGBA"), (10, 20, 30), set()),
        (plain((10, 20, 30, 0), mode="RGBA"), (255, 255, 255), {CLEAR}),
        (plain((0, 0, 0, 51), mode="RGBA"), (204, 204, 204), {CLEAR}),  # a fifth of black on white
        (plain((100, 255), mode="LA"), (100, 100, 100), set()),
        (Image.fromarray(np.full((4, 4), 65535, np.uint16)), (255, 255, 255), {DEEP, GREY}),
        (Image.fromarray(np.full((4, 4), 257 * 7, np.uint16)), (7, 7, 7), {DEEP, GREY}),
    ],
)
def test_colours_of_every_kind(image: Image.Image, colour: tuple[int, int, int], changed: set[str]) -> None:
    pixels, found = decode(encoded(image), FRAME)
    assert np.array_equal(pixels, np.full((4, 4, 3), colour))
    assert found == changed


def test_a_palette_with_a_transparent_colour() -> None:
    image = plain(0, mode="P")
    image.putpalette([10, 20, 30, 200, 100, 50])
    assert np.array_equal(decode(encoded(image), FRAME)[0][0, 0], (10, 20, 30))
    pixels, changed = decode(encoded(image, transparency=0), FRAME)
    assert np.array_equal(pixels[0, 0], (255, 255, 255))
    assert changed == {CLEAR}


def test_printing_colours() -> None:
    pixels, changed = decode(encoded(plain((0, 255, 255, 0), (8, 8), "CMYK"), "JPEG", quality=100), Frame(8, 8))
    assert changed == {CMYK}
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() < 8, "all magenta and yellow is red"


@pytest.mark.parametrize(
    ("kind", "values", "colour", "changed"),
    [
        (2, (200, 100, 50), (200, 100, 50), {DEEP}),
        (4, (200, 255), (200, 200, 200), {DEEP}),  # grey and opaque
        (4, (0, 51), (204, 204, 204), {DEEP, CLEAR}),  # a fifth of black on white
        (6, (200, 100, 50, 255), (200, 100, 50), {DEEP}),
        (6, (0, 0, 0, 51), (204, 204, 204), {DEEP, CLEAR}),
    ],
)
def test_a_colour_png_of_16_bits(
    kind: int, values: tuple[int, ...], colour: tuple[int, int, int], changed: set[str]
) -> None:
    row = struct.pack(f">{len(values)}H", *(257 * value for value in values)) * 4
    rows = (b"\0" + row) * 4

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 4, 16, kind, 0, 0, 0))
    file = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    pixels, found = decode(file, FRAME)
    assert np.array_equal(pixels, np.full((4, 4, 3), colour))
    assert found == changed


def test_a_picture_is_turned_as_its_exif_data_say() -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0] = 255  # the first row as it is stored; orientation 6 shows it at the right
    exif = Image.Exif()
    exif[0x0112] = 6
    found, changed = decode(encoded(Image.fromarray(pixels), exif=exif), FRAME)
    assert changed == {TURNED}
    assert found[:, 3].min() == 255
    assert found[:, :3].max() == 0


def test_larger_pictures_are_cut_in_the_middle_and_made_smaller() -> None:
    wide = np.zeros((4, 8, 3), np.uint8)
    wide[:, 2:6] = noise(4, 4)
    found, changed = decode(encoded(Image.fromarray(wide)), FRAME)
    assert changed == {CROPPED}
    assert np.array_equal(found, wide[:, 2:6])
    large = noise(12, 12)
    found, changed = decode(encoded(Image.fromarray(large)), FRAME)
    assert changed == {RESIZED}
    assert np.array_equal(found, np.asarray(Image.fromarray(large).resize((4, 4), Image.Resampling.BILINEAR)))
    assert decode(encoded(Image.fromarray(noise(9, 20))), FRAME)[1] == {CROPPED, RESIZED}


def test_a_frame_need_not_be_square() -> None:
    found, changed = decode(encoded(Image.fromarray(noise(8, 8))), Frame(2, 4))
    assert found.shape == (2, 4, 3)
    assert changed == {CROPPED, RESIZED}


ANIMATED = {"save_all": True, "append_images": [plain("red"), plain("blue")]}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "is empty"),
        (b"GIF89a but not really", "is damaged|is no picture"),
        (b"some text", "is no picture that can be read"),
        (encoded(Image.fromarray(noise(32, 32)))[:1500], "is cut off or damaged"),
        (encoded(Image.fromarray(noise(64, 64)), "JPEG")[:900], "is cut off or damaged"),
        (encoded(plain("white"), "GIF", **ANIMATED), r"is animated \(3 pictures\)"),
        (encoded(plain("white"), "PNG", **ANIMATED), r"is animated \(3 pictures\)"),
        (encoded(plain(0, (8000, 7000), "1")), "has 8000 by 7000 pixels, more than 50 million"),
        (encoded(plain(0, (20000, 20000), "1")), "more than 50 million pixels"),
        (encoded(plain("red", (3, 9))), "is 3 by 9 pixels, smaller than the model's 4 by 4"),
    ],
)
def test_what_cannot_be_used_is_refused_with_the_reason(data: bytes, why: str) -> None:
    with pytest.raises(Unusable, match=why):
        decode(data, FRAME)


def test_every_cut_and_every_flipped_byte_is_a_picture_or_is_refused() -> None:
    for kind in ("PNG", "JPEG", "GIF", "WEBP", "BMP"):
        whole = encoded(Image.fromarray(noise(8, 8)), kind)
        for place in range(0, len(whole), 3):
            for data in (whole[:place], whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :]):
                with suppress(Unusable):
                    assert decode(data, FRAME)[0].shape == (4, 4, 3)
