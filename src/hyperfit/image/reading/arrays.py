"""Pictures of a .npz file: an array of them, as numpy.savez writes it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hyperfit.data.reading.archives import unpacked_size
from hyperfit.data.reading.parts import part_of
from hyperfit.errors import UserError, first_line
from hyperfit.image.reading.decode import DEEP, MOST_PIXELS, Unusable, as_rgb, fit
from hyperfit.image.reading.found import Found

MOST_BYTES = 16 * 2**30
"""Of the unpacked arrays of a file; a zip archive of a few megabytes can claim far more."""
USUAL = ("images", "image", "x", "arr_0")
CHANNELS = (1, 3, 4)
"""Grey; red, green, blue; and those with transparency."""


def read_npz(path: Path, column: str | None, parts: dict[str, Found]) -> None:
    """Add the pictures of an array to the part it is of: ``x_train`` and ``x_val`` tell, others are to train on.

    column: the array's name; None: those that are named as parts, else a usual name, else the only array of pictures.
    What is for a last test (``x_test``) is left alone. Raises UserError for a file without such an array.
    """
    arrays = unpacked(path)
    held = {name: array for name, array in arrays.items() if is_pictures(array)}
    for name in chosen(path, held, sorted(arrays), column):
        part = part_of(Path(name)) if column is None else None
        if part != "test":
            add_array(
                as_rows(held[name]), path if column or len(held) == 1 else f"{path}/{name}", parts[part or "train"]
            )


def unpacked(path: Path) -> dict[str, NDArray[Any]]:
    """All arrays of the file by name. Raises UserError if it cannot be read, or would unpack to too much."""
    try:
        if (size := unpacked_size(path)) > MOST_BYTES:
            raise UserError(
                f"--data {path}: unpacks to {size // 2**30} GiB, more than {MOST_BYTES // 2**30}; give fewer pictures"
            )
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except UserError:
        raise
    except Exception as error:  # damaged files make the readers of archives and arrays raise whatever they may
        why = first_line(error)
        raise UserError(f"--data {path}: cannot be read as .npz ({why}); mend or remove it") from error


def is_pictures(array: NDArray[Any]) -> bool:
    """Whether an array may be [pictures, height, width], with channels behind or before these two."""
    if array.dtype not in (np.uint8, np.uint16) or array.size == 0:
        return False
    return array.ndim == 3 or (array.ndim == 4 and (array.shape[3] in CHANNELS or array.shape[1] in CHANNELS))


def chosen(path: Path, held: dict[str, NDArray[Any]], names: list[str], column: str | None) -> list[str]:
    """Names of the arrays to read. Raises UserError where that cannot be told."""
    if column is not None and column in held:
        return [column]
    if column is None:
        parted = {name: part_of(Path(name)) for name in held}
        if "train" in parted.values():
            return [name for name in held if parted[name]]
        if usual := [name for name in USUAL if name in held]:
            return usual[:1]
        if len(held) == 1:
            return [*held]
    what = f"--image-column {column}: in {path} this array" if column else f"--data {path}: which of its arrays"
    told = "holds no pictures" if column else "holds the pictures cannot be told"
    raise UserError(
        f"{what} {told}; name one of whole numbers from 0 to 255 (uint8) and of shape [pictures, height, width, 3] "
        f"with --image-column. Its arrays are {', '.join(names) or 'none'}"
    )


def as_rows(array: NDArray[Any]) -> NDArray[Any]:
    """[pictures, height, width, channels], the channels last."""
    if array.ndim == 3:
        return array[..., None]
    return array if array.shape[3] in CHANNELS else array.transpose(0, 2, 3, 1)


def add_array(rows: NDArray[Any], place: Path | str, found: Found) -> None:
    """Add uint8 or uint16[pictures, height, width, channels], each named by its row, counted from 1."""
    if rows.shape[1] * rows.shape[2] > MOST_PIXELS:
        of = f"{rows.shape[2]} by {rows.shape[1]} pixels, more than {MOST_PIXELS // 1_000_000} million"
        found.unusable += [f"{place}, row {number} has {of}" for number in range(1, len(rows) + 1)]
        return
    for number, row in enumerate(rows, start=1):
        deep = row.dtype == np.uint16
        bytes_of = ((row.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8) if deep else row
        image = Image.fromarray(np.ascontiguousarray(bytes_of[..., 0] if row.shape[-1] == 1 else bytes_of))
        upright, changed = as_rgb(image)
        try:
            pixels, more = fit(upright, found.frame)
        except Unusable as why:
            found.unusable.append(f"{place}, row {number} {why}")
        else:
            found.keep(pixels, f"{place}:{number}", changed | more | ({DEEP} if deep else set()))
