"""Which prefix caches go, and making room for a new one."""

import shutil
import time
from collections.abc import Callable
from pathlib import Path

from hyperfit.errors import UserError
from hyperfit.prefix.disk.locks import in_use, lock_of, one_at_a_time
from hyperfit.prefix.disk.sizes import readable
from hyperfit.prefix.disk.store import STATES, is_ours, name_in, read_entry
from hyperfit.runs.files import remove

LIMIT = 20 * 10**9
"""Bytes that the caches of a folder may take together, unless told otherwise: four or five of an 8-billion-parameter
model on 2000 sequences of 256 tokens (4.2 GB each). A fixed size and not a share of the disk: what is kept then
depends neither on the machine nor on what else fills its disk."""


def clear(
    folder: Path,
    names: tuple[str, ...] = (),
    *,
    older_than: float | None = None,
    max_size: int | None = None,
    dry_run: bool = False,
    notify: Callable[[str], None] = print,
) -> list[tuple[str, int]]:
    """Remove the named caches, or all, and what killed processes left; (name, bytes) of each.

    older_than: seconds; or only what has not been used for so long. max_size: bytes; or only the least recently used,
    until the rest takes no more. With both, what either asks for goes. What cannot be used, damaged or half-made,
    counts as never used. With either, a cache that a process reads stays; without, that process goes on undisturbed.
    dry_run: remove nothing. Raises UserError for a name that is not there.
    """
    there = {path.name: path for path in folder.glob("*/") if is_ours(path)}
    if missing := [name for name in names if name not in there]:
        raise UserError(
            *(f"{name}: no prefix cache of that name in {folder}; hyperfit cache list shows them" for name in missing)
        )
    now, left, gone = time.time(), sum(map(size_of, there.values())), []
    choosing = older_than is not None or max_size is not None
    for path in [there[name] for name in names] or sorted(there.values(), key=lambda path: (used(path), path.name)):
        old = older_than is not None and now - used(path) >= older_than
        if choosing and not old and (max_size is None or left <= max_size):
            continue
        size = size_of(path)
        if (obstacle := drop(path, even_if_read=not choosing, dry_run=dry_run)) is None:
            left -= size
            gone.append((path.name, size))
        else:
            notify(f"{path.name}: {obstacle}")
    return gone


def drop(path: Path, *, even_if_read: bool, dry_run: bool) -> str | None:
    """Remove one cache; what forbids it, if something does."""
    folder, name = path.parent, name_in(path)
    try:
        with one_at_a_time(folder, name, wait=False) as mine:
            if not mine:
                return "being filled or checked by another process; left alone"
            if not path.exists():
                return "removed by another process"
            if not even_if_read and in_use(path / STATES):
                return "in use; left alone"
            if not dry_run:
                remove(path)
                lock_of(folder, name).unlink(missing_ok=True)
    except OSError as error:
        return f"cannot be removed ({error.strerror})"
    return None


def used(path: Path) -> float:
    """When the cache in a folder was last used, seconds since 1970; 0 if it cannot be."""
    entry = read_entry(path)
    return 0.0 if entry is None else entry.used


def size_of(path: Path) -> int:
    """Bytes of the files in a cache's folder; 0 if another process has removed it meanwhile."""
    try:
        return sum(file.stat().st_size for file in path.iterdir())
    except FileNotFoundError:
        return 0


def make_room(folder: Path, size: int, limit: int, notify: Callable[[str], None]) -> None:
    """Have ``size`` bytes fit into ``folder``, and say what is needed and what has gone for it.

    The least recently used caches that no process reads go until the new one and the rest take at most ``limit``
    bytes and the disk has room for it; a new one that is larger than the limit stays alone. Raises UserError if the
    disk has no room even so, and then nothing has gone unless some caches turned out to be in use.
    """
    there = sum(size_of(path) for path in folder.glob("*/") if is_ours(path))
    if there + free_in(folder) >= size:
        most = min(limit, there + free_in(folder)) - size
        if gone := clear(folder, max_size=max(0, most), notify=lambda line: None):
            names, freed = ", ".join(name for name, _ in gone), readable(sum(bytes_ for _, bytes_ in gone))
            notify(f"prefix cache: removed {names} ({freed}), least recently used (--cache-limit {readable(limit)})")
    free = free_in(folder)
    if size > free:
        raise UserError(
            f"--cache-dir {folder}: the prefix cache needs {readable(size)}, and {readable(free)} are free; free some"
            " space (hyperfit cache clear), name another folder, or give --prefix-cache off"
        )
    notify(f"prefix cache: needs {readable(size)} in {folder}, where {readable(free)} are free")


def free_in(folder: Path) -> int:
    """Free bytes on the disk of a folder, which need not be there yet."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free
