"""What keeps processes that share a folder of prefix caches apart. The locks of a killed process go with it."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TAKEN = (errno.EAGAIN, errno.EACCES)
"""What a lock that another process has is refused with."""


def lock_of(folder: Path, name: str) -> Path:
    """The file whose lock is held by who fills, checks or removes the cache of that name."""
    return folder / f".{name}.lock"


@contextmanager
def one_at_a_time(
    folder: Path, name: str, notify: Callable[[str], None] = print, *, wait: bool = True
) -> Iterator[bool]:
    """Wait until no other process is in this block for the same name; true inside it.

    wait: or give up at once, which is false. Raises OSError if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = lock_of(folder, name)
    while True:
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            mine = _lock(lock, wait=False)
            if wait and not mine:
                notify(f"prefix cache {folder / name}: waiting for the process that fills or checks it")
                mine = _lock(lock, wait=True)
            if not mine or _is(file, lock):  # else removed with its cache meanwhile: others may have a new one
                yield mine
                return
        finally:
            os.close(lock)


def _lock(handle: int, *, wait: bool) -> bool:
    if sys.platform == "win32":  # has no such locks
        return True
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno not in TAKEN:
            raise
        return False
    return True


def _is(file: Path, handle: int) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def hold(handle: int) -> None:
    """Have an open file count as in use for as long as it is open; nothing happens where there are no locks."""
    if sys.platform != "win32":
        import fcntl

        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)


def in_use(file: Path) -> bool:
    """Whether a process, this one included, holds a file; false if it is not there."""
    try:
        handle = os.open(file, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return not _lock(handle, wait=False)
    finally:
        os.close(handle)
