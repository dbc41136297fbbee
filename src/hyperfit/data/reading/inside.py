"""Files of a folder lie in it, also where they are links: nothing is read that was not given."""

from collections.abc import Iterable
from os.path import realpath
from pathlib import Path

from huggingface_hub import constants

from hyperfit.errors import UserError
from hyperfit.numbers import COUNT

SNAPSHOTS, BLOBS = "snapshots", "blobs"
"""Of a repository in the hub's cache: folders whose files are links, and what these lead to."""
PUT_THERE = "put a copy (or a hard link) there, or give what it leads to"


def check_inside(folder: Path, files: Iterable[Path]) -> None:
    """Raises UserError for files of a folder that lie somewhere else once all links are followed.

    The folder may be a link itself. The files of a snapshot in the hub's cache may lie anywhere in its repository; in
    the cache that is in use, whose links are the user's own, its ``blobs`` may be a link to another disk.
    """
    if out := outside(folder, files):
        more = f", and {COUNT(len(out) - 1)} more like it" if len(out) > 1 else ""
        raise UserError(
            f"{out[0]}: leads out of {folder}, to {realpath(out[0])}{more}; of a folder only what lies in it is read: "
            + remedy(folder)
        )


def remedy(folder: Path) -> str:
    """What to do about a file that lies somewhere else."""
    repository = repository_of(folder)
    if repository is None or not (repository / BLOBS).is_symlink() or in_use(repository):
        return PUT_THERE
    return (
        f"{repository / BLOBS} is a link; move all of {repository} to where it leads and link to that, or set "
        f"HF_HUB_CACHE={repository.parent} if that cache is yours"
    )


def outside(folder: Path, files: Iterable[Path]) -> list[Path]:
    """Those of a folder's files that lie somewhere else."""
    roots = roots_of(folder)
    return [file for file in files if not any(Path(realpath(file)).is_relative_to(root) for root in roots)]


def roots_of(folder: Path) -> tuple[Path, ...]:
    """Where the files of a folder may lie, without links: in itself, or, of a snapshot, in its repository."""
    repository = repository_of(folder)
    if repository is None:
        return (Path(realpath(folder)),)
    if in_use(repository):
        return (repository, Path(realpath(repository / BLOBS)))
    return (repository,)


def in_use(repository: Path) -> bool:
    """Whether a repository lies in the cache of the hub that this process uses."""
    return str(repository.parent) == realpath(constants.HF_HUB_CACHE)


def repository_of(folder: Path) -> Path | None:
    """The repository in a cache of the hub, without links, of whose snapshots a folder is one, or part of one."""
    there = Path(realpath(folder))
    for place in (there, *there.parents):
        if place.parent.name == SNAPSHOTS and (place.parent.parent / BLOBS).is_dir():
            return place.parent.parent
    return None
