"""Files of a folder lie in it, also where they are links: nothing is read that was not given."""

from collections.abc import Iterable
from os.path import realpath
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.numbers import COUNT

SNAPSHOTS, BLOBS = "snapshots", "blobs"
"""Of a repository in the hub's cache: folders whose files are links, and what these lead to."""


def check_inside(folder: Path, files: Iterable[Path]) -> None:
    """Raises UserError for files of a folder that lie somewhere else once all links are followed.

    The folder may be a link itself. The files of a snapshot in the hub's cache may lie anywhere in its repository.
    """
    if out := outside(folder, files):
        more = f", and {COUNT(len(out) - 1)} more like it" if len(out) > 1 else ""
        raise UserError(
            f"{out[0]}: leads out of {folder}, to {realpath(out[0])}{more}; of a folder only what lies in it is read: "
            "put a copy (or a hard link) there, or give what it leads to"
        )


def check_links(folder: Path) -> None:
    """Raises UserError for links in a folder, or in one below it, that lead out of it."""
    check_inside(folder, sorted(path for path in folder.rglob("*") if path.is_symlink()))


def outside(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those of a folder's files that lie somewhere else."""
    root = root_of(folder)
    return [file for file in files if not Path(realpath(file)).is_relative_to(root)]


def root_of(folder: Path) -> Path:
    """Where the files of a folder may lie, without links: in itself, or, of a snapshot, in its repository."""
    there = Path(realpath(folder))
    for place in (there, *there.parents):
        if place.parent.name == SNAPSHOTS and (place.parent.parent / BLOBS).is_dir():
            return place.parent.parent
    return there
