"""What a source of pictures gives: its pictures, those that cannot be used, and what people should know of both."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from hyperfit.data.reading.documents import ROWS
from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Frame, Pixels, Unusable, decode
from hyperfit.numbers import COUNT

NAMED = 10
"""Pictures that cannot be used, at most, that a message names; a note names all that are passed over."""


@dataclass(frozen=True)
class Pictures:
    """Pictures of one size, and where each came from."""

    pixels: Pixels
    """uint8[pictures, height, width, 3]"""
    origins: tuple[str, ...]
    """File, or file and row, such as ``cats.parquet:12``."""

    def __len__(self) -> int:
        return len(self.origins)

    def __getitem__(self, places: "list[int] | np.ndarray[tuple[int], np.dtype[np.int64]]") -> "Pictures":
        """Some of them, in this order."""
        chosen = [int(place) for place in places]
        return Pictures(self.pixels[chosen], tuple(self.origins[place] for place in chosen))


@dataclass
class Found:
    """The pictures of one part of a source, as they come."""

    frame: Frame
    pixels: list[Pixels] = field(default_factory=list)
    origins: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)
    """The name of each that cannot be used, and why."""
    changes: Counter[str] = field(default_factory=Counter)

    def add(self, data: bytes | None, origin: str) -> None:
        """Read an encoded picture; None: a row that holds none."""
        try:
            if data is None:
                raise Unusable("holds no picture")
            pixels, changed = decode(data, self.frame)
        except Unusable as why:
            self.unusable.append(f"{told(origin)} {why}")
        else:
            self.keep(pixels, origin, changed)

    def keep(self, pixels: Pixels, origin: str, changed: set[str]) -> None:
        """Take a picture that has been read."""
        self.pixels.append(pixels)
        self.origins.append(origin)
        self.changes.update(changed)

    @property
    def pictures(self) -> Pictures:
        """All that could be used, in the order of the source."""
        shape = (len(self.pixels), self.frame.height, self.frame.width, 3)
        return Pictures(np.array(self.pixels, np.uint8).reshape(shape), tuple(self.origins))


def told(origin: str) -> str:
    """A picture's place in a message: a file's path, or its path and row."""
    place, _, row = origin.rpartition(":")
    if not row.isdigit():
        return origin
    return f"{place}, {ROWS.get('.' + place.rpartition('.')[2], 'row')} {row}"


def check_usable(source: str, parts: tuple[Found, ...], *, skip: bool) -> list[str]:
    """Notes on what was passed over and changed. Raises UserError for what cannot be used, unless it is skipped."""
    bad = [one for part in parts for one in part.unusable]
    if bad and not skip:
        rest = f", and {COUNT(len(bad) - NAMED)} more" if len(bad) > NAMED else ""
        raise UserError(
            f"--data {source}: {COUNT(len(bad))} picture{'s' * (len(bad) > 1)} cannot be used: "
            f"{'; '.join(bad[:NAMED])}{rest}; mend or remove what is named, or pass over it with --skip-unusable"
        )
    notes = [f"{source}: passed over: {one}" for one in bad]
    changes = sum((part.changes for part in parts), Counter[str]())
    if changes:
        told_of = "; ".join(f"{COUNT(count)} {what}" for what, count in sorted(changes.items()))
        notes.append(f"{source}: of {COUNT(sum(len(part.origins) for part in parts))} pictures {told_of}")
    return notes
