"""A prefix cache found on disk, or filled: by one process or several together, while others that want it wait."""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError
from hyperfit.prefix.disk.eviction import LIMIT, make_room
from hyperfit.prefix.disk.locks import one_at_a_time
from hyperfit.prefix.disk.store import ABOUT, STATES, Entry, digest_of, name_of, read_entry
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.runs.files import part_of, remove, sha256, telling_of_full_disk, writing


@contextmanager
def open_or_fill(
    folder: Path,
    key: dict[str, Any],
    size: int,
    fill: Callable[[Path], dict[str, Any]],
    notify: Callable[[str], None],
    *,
    limit: int = LIMIT,
    right: Callable[[Entry], bool] = lambda entry: True,
    processes: Processes = ALONE,
) -> Iterator[tuple[Entry, bool]]:
    """Yield (the cache for ``key``, whether it was there already). A damaged or foreign one is made anew.

    size: bytes it will take. fill(file): write the states into a file of that size, return the rest of ``about``.
    limit: bytes of all caches in the folder; others go for a new one as ``make_room`` says. right: a last look at a
    cache that was found. processes: those that call this together; each fills a part, the first does all else, and what
    one raises all raise. Others may call it at the same time; one fills, the rest wait. Inside the block no other
    process removes the cache; who holds its file then (``States`` does) keeps it from being evicted later. In a folder
    that cannot be written to (another user's, a read-only disk) there can be no lock, and one that is there is used
    without. Raises UserError if one is to be filled where nothing can be written, or the disk has no room.
    """
    path = folder / name_of(key)
    with ExitStack() as locks:

        def find() -> Entry | None:
            entry = locked(locks, path, key, notify, right)
            if entry is None:
                make_room(folder, size, limit, notify)
            return entry

        found = processes.first(find)
        entry = found or filled(path, key, size, fill, processes)
        with processes.together():
            yield entry, found is not None


def locked(
    locks: ExitStack, path: Path, key: dict[str, Any], notify: Callable[[str], None], right: Callable[[Entry], bool]
) -> Entry | None:
    """The cache for ``key`` if it can be used, else None, and nothing lies at ``path``; locked until ``locks`` close.

    Raises UserError if there is none and nothing can be written.
    """
    refused: OSError | None = None
    try:
        locks.enter_context(one_at_a_time(path.parent, path.name, notify))
    except OSError as error:
        refused = error
    entry, fault = usable(path, key, right)
    if entry is not None:
        with suppress(OSError):  # another user's
            os.utime(path / ABOUT)
        return entry
    try:
        if refused is not None:
            raise refused
        remove(path)
        remove(part_of(path))
        part_of(path).mkdir()  # a lock file of ours may lie in a folder that is no longer ours to write in
        part_of(path).rmdir()
    except OSError as error:
        found = "" if fault is None else f", and the cache that is there cannot be used: {fault}"
        raise UserError(
            f"--cache-dir {path.parent}: cannot be written to ({error.strerror}){found}; name another folder, or give "
            "--prefix-cache off"
        ) from error
    if fault is not None:
        notify(f"prefix cache {path}: {fault}; made anew")
    return None


def filled(
    path: Path, key: dict[str, Any], size: int, fill: Callable[[Path], dict[str, Any]], processes: Processes
) -> Entry:
    """The cache for ``key``, written by all processes; it has its name only once all have written their parts."""
    with ExitStack() as aside:  # of the first process: what is half-written goes when it closes on a failure

        @telling_of_full_disk(path)
        def begin() -> Path:
            part = aside.enter_context(writing(path))
            part.mkdir()
            with (part / STATES).open("wb") as new:
                new.truncate(size)
            return part

        @telling_of_full_disk(path)
        def finish() -> Entry:
            states = {**rest.pop("states"), "bytes": size, "sha256": sha256(part / STATES)}
            about = {"key": key, "states": states, **rest, "created": round(time.time())}
            about["digest"] = digest_of(about)
            (part / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
            aside.close()
            made = read_entry(path)
            assert made is not None
            return made

        part = processes.first(begin)
        with processes.together(), telling_of_full_disk(path):
            rest = fill(part / STATES)
        return processes.first(finish)


def usable(path: Path, key: dict[str, Any], right: Callable[[Entry], bool]) -> tuple[Entry | None, str | None]:
    """(the cache that lies there, None) if it can be used for ``key``, else (None, why not; None if there is none)."""
    if not path.exists():
        return None, None
    entry = read_entry(path)
    try:
        fault = "it cannot be read" if entry is None else entry.fault(key)
    except OSError as error:  # not ours to read, or removed meanwhile by a process that may
        fault = f"it cannot be read ({error.strerror})"
    if entry is not None and fault is None and not right(entry):
        fault = "it is not what the model computes"
    return (None, fault) if fault else (entry, None)
