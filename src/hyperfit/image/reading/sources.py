"""Pictures of any kind → pictures of one size: files, folders of files, hub data sets, those drawn here."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperfit.data.builtin import PREFIX
from hyperfit.data.reading.folders import files_of
from hyperfit.data.reading.parts import parts_of_folder
from hyperfit.errors import UserError, collecting
from hyperfit.image.reading.arrays import read_npz
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.found import Found, Pictures, check_usable
from hyperfit.image.reading.tables import read_hub, read_parquet
from hyperfit.image.shapes.kept import shapes

DRAWN = f"{PREFIX}shapes"
NUMBERS = {"train": range(1, 2001), "heldout": range(2001, 2201)}
"""Of the pictures of ``builtin:shapes``; ``pretraining/`` draws its own from far above."""

Parts = dict[str, Found]
"""``train`` and ``heldout``."""


def read_image(path: Path, column: str | None, parts: Parts) -> None:
    """The file as one picture."""
    try:
        data = path.read_bytes()
    except OSError as error:
        parts["train"].unusable.append(f"{path} cannot be read ({error.strerror})")
    else:
        parts["train"].add(data, str(path))


READERS: dict[str, Callable[[Path, str | None, Parts], None]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg"), read_image),
    ".npz": read_npz,
    ".parquet": read_parquet,
}
"""File endings that can be read, and what adds their pictures to the parts."""
ENDINGS = ", ".join(READERS)


@dataclass(frozen=True)
class Source:
    """The pictures of a source, to train on and set apart as held out (often none), and notes on how it was read."""

    train: Pictures
    heldout: Pictures
    notes: tuple[str, ...] = ()


def read_pictures(source: str, frame: Frame, *, column: str | None = None, skip: bool = False) -> Source:
    """All pictures of a source, in order, in the size of the frame.

    source: a .png or .jpg file, an .npz or .parquet file, a folder of such files (and of folders of them, which may be
    named as parts of a data set, ``hyperfit.data.reading.parts``), a hub data set ORG/NAME[:CONFIG[:SPLIT]], or
    builtin:shapes. column: the array or column that holds the pictures. skip: pass over what cannot be used, with a
    note on each. Raises UserError that names every file, or row, that cannot be used, and why.
    """
    parts = {"train": Found(frame), "heldout": Found(frame)}
    notes: list[str] = []
    path = Path(source)
    if source.startswith(PREFIX):
        draw(source, parts)
    elif path.is_dir():
        read_folder(path, column, parts, notes)
    elif path.is_file():
        read_file(path, column, parts)
    elif path.suffix.lower() in READERS or source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise UserError(f"--data {source}: no such file or folder (seen from {Path.cwd()}); name another")
    else:
        read_hub(source, column, parts)
    notes += check_usable(source, (parts["train"], parts["heldout"]), skip=skip)
    return Source(parts["train"].pictures, parts["heldout"].pictures, tuple(notes))


def draw(source: str, parts: Parts) -> None:
    """Add the pictures that are drawn here, each named by its number."""
    if source != DRAWN:
        raise UserError(f"--data {source}: no such embedded pictures; give {DRAWN}")
    for part, numbers in NUMBERS.items():
        frame = parts[part].frame
        side = max(frame.height, frame.width)
        top, left = (side - frame.height) // 2, (side - frame.width) // 2
        for number, whole in zip(numbers, shapes(numbers, side), strict=True):
            parts[part].keep(whole[top : top + frame.height, left : left + frame.width], f"{source}:{number}", set())


def read_folder(folder: Path, column: str | None, parts: Parts, notes: list[str]) -> None:
    """The files of a folder and of those in it, in the order of their names, by parts where it has some."""
    files, skipped = files_of(folder, READERS)
    notes += skipped
    by_part = parts_of_folder(folder, files)
    if by_part:
        left = len(files) - sum(len(by_part.get(part, ())) for part in parts)
        counts = [f"{len(by_part['train'])} to train on", f"{len(by_part.get('heldout', ()))} held out"]
        notes.append(f"{folder}: files split by their names, {', '.join(counts)}" + f", {left} left alone" * bool(left))
    problems: list[str] = []
    for part, paths in {"train": by_part.get("train", files), "heldout": by_part.get("heldout", [])}.items():
        whole = dict.fromkeys(parts, parts[part]) if by_part else parts
        for path in paths:
            with collecting(problems):
                read_file(path, column, whole)
    if problems:
        raise UserError(*problems)


def read_file(path: Path, column: str | None, parts: Parts) -> None:
    """Add the pictures of a file."""
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise UserError(f"--data {path}: cannot read {path.suffix or 'a file with no ending'}; give {ENDINGS}")
    reader(path, column, parts)
