"""One picture as a file holds it → its pixels in the size that a model has, and what had to be done for that."""

import io
import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from hyperfit.errors import first_line

Pixels = NDArray[np.uint8]
"""Red, green and blue, 0 to 255: uint8[height, width, 3], or of several pictures uint8[pictures, height, width, 3]."""

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""What is tried, whatever a file's name says; other formats of Pillow are for special uses, and rarely tested."""
MOST_PIXELS = 50_000_000
"""Of a picture: a camera's largest have fewer, and each takes 3 bytes once it is unpacked."""

TURNED = "turned as its EXIF data say"
DEEP = "of 16 bits a colour, rounded to 8"
CLEAR = "transparent, laid on white"
GREY = "grey"
CMYK = "of printing colours (CMYK)"
CROPPED = "cut to the model's proportions, in the middle"
RESIZED = "made smaller"


class Unusable(Exception):  # noqa: N818  # carries the reason to whoever collects those of a source
    """Why a picture cannot be used, in words that follow its name."""


@dataclass(frozen=True)
class Frame:
    """The size that pictures get."""

    height: int
    width: int
    resample: int = int(Image.Resampling.BILINEAR)
    """Pillow's number of the filter that makes a picture smaller."""

    def __str__(self) -> str:
        return f"{self.width} by {self.height}"


def decode(data: bytes, frame: Frame) -> tuple[Pixels, set[str]]:
    """(uint8[height, width, 3], what was changed on the way) of an encoded picture. Raises Unusable.

    Unusable is what is no picture, damaged, cut off, animated, of more than MOST_PIXELS (known before it is unpacked),
    or smaller than the frame: enlarged, it would teach blur.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's own limits are above ours, and damage shows in what follows
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise Unusable("is no picture that can be read" if data else "is empty") from error
    except Image.DecompressionBombError as error:
        raise Unusable(f"has more than {MOST_PIXELS // 1_000_000} million pixels") from error
    except Exception as error:  # damaged files make its readers raise whatever they may
        raise Unusable(f"is damaged ({first_line(error)})") from error
    with image:
        if image.width * image.height > MOST_PIXELS:
            raise Unusable(f"has {image.width} by {image.height} pixels, more than {MOST_PIXELS // 1_000_000} million")
        if (frames := getattr(image, "n_frames", 1)) > 1:
            raise Unusable(f"is animated ({frames} pictures)")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                deep = {DEEP for tile in image.tile if "RGB" in image.mode and "16" in str(tile.args)}
                image.load()
                upright, changed = as_rgb(image)
        except Exception as error:
            raise Unusable(f"is cut off or damaged ({first_line(error)})") from error
    fitted, more = fit(upright, frame)
    return fitted, changed | deep | more


def as_rgb(image: Image.Image) -> tuple[Image.Image, set[str]]:
    """(the picture upright in red, green and blue, what was changed for that)."""
    changed = set[str]()
    if image.getexif().get(0x0112, 1) != 1:
        image = ImageOps.exif_transpose(image)
        changed.add(TURNED)
    if image.mode.startswith("I"):
        image = Image.fromarray(((np.asarray(image).astype(np.int64) * 255 + 32767) // 65535).clip(0, 255).astype("u1"))
        changed.add(DEEP)
    if "A" in image.getbands() or "transparency" in image.info:
        clear = image.convert("RGBA")
        if clear.getchannel("A").getextrema() != (255, 255):
            changed.add(CLEAR)
        white = Image.new("RGBA", clear.size, "white")
        image = Image.alpha_composite(white, clear)
    elif image.mode == "CMYK":
        changed.add(CMYK)
    elif image.mode in ("1", "L"):
        changed.add(GREY)
    return image.convert("RGB"), changed


def fit(image: Image.Image, frame: Frame) -> tuple[Pixels, set[str]]:
    """(the picture's pixels in the frame's size, what was changed for that). Raises Unusable if it is smaller."""
    changed = set[str]()
    wide, high = image.size
    if wide < frame.width or high < frame.height:
        raise Unusable(f"is {wide} by {high} pixels, smaller than the model's {frame}")
    scale = min(wide / frame.width, high / frame.height)
    across, down = round(frame.width * scale), round(frame.height * scale)
    if (across, down) != (wide, high):
        left, top = (wide - across) // 2, (high - down) // 2
        image = image.crop((left, top, left + across, top + down))
        changed.add(CROPPED)
    if image.size != (frame.width, frame.height):
        image = image.resize((frame.width, frame.height), Image.Resampling(frame.resample))
        changed.add(RESIZED)
    return np.asarray(image).copy(), changed
