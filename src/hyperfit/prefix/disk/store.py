"""Prefix caches on disk: folders named by what is in them, whole or absent, checked before they are used."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperfit.data.reading.inside import outside
from hyperfit.runs.files import sha256

FOLDER = ".prefix-cache"
"""Where caches lie, beside the runs that share them."""
STATES = "states.bin"
"""The hidden states: rows of equal size, one after the other, nothing else."""
ABOUT = "about.json"


@dataclass(frozen=True)
class Entry:
    """One cache that is complete."""

    path: Path
    about: dict[str, Any]
    """key: what the states depend on. states: dtype, shape, bytes, sha256. fill: seconds, batches of the
    process that took so long. digest: of the rest."""
    used: float
    """When it was last used, seconds since 1970."""

    @property
    def states(self) -> Path:
        """The file with the hidden states."""
        return self.path / STATES

    def fault(self, key: dict[str, Any]) -> str | None:
        """What forbids to use it for ``key``; None if nothing does. Reads the whole file."""
        if self.about["key"] != key:
            return "it was made for something else"
        if self.states.stat().st_size != self.about["states"]["bytes"]:
            return "its size is wrong"
        return None if sha256(self.states) == self.about["states"]["sha256"] else "its checksum does not match"


def name_of(key: dict[str, Any]) -> str:
    """The folder of the cache for ``key``: 16 hexadecimal digits."""
    return digest_of(key)[:16]


def entries(folder: Path) -> list[Entry]:
    """The readable caches in a folder, the one used last first."""
    found = []
    for path in folder.glob("*/"):
        if (entry := read_entry(path)) is not None:
            found.append(entry)
    return sorted(found, key=lambda entry: -entry.used)


def read_entry(path: Path) -> Entry | None:
    """The cache in a folder of its own, unchecked; None if there is none that can be read, or it is not all there."""
    if path.name != name_in(path) or outside(path, (path / STATES, path / ABOUT)):  # killed before it got its name
        return None
    try:
        about = json.loads((path / ABOUT).read_text(encoding="utf-8"))
        complete = about.pop("digest") == digest_of(about) and (path / STATES).is_file()
        used = (path / ABOUT).stat().st_mtime
    except (OSError, ValueError, AttributeError, KeyError, RecursionError):
        return None
    return Entry(path, about, used) if complete else None


def digest_of(about: dict[str, Any]) -> str:
    """SHA-256 of a description, hexadecimal."""
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()


def is_ours(path: Path) -> bool:
    """Whether a folder is a cache, whole, damaged or half-made, and holds nothing else: nothing else may be deleted."""
    name = name_in(path)
    named = len(name) == 16 and set(name) <= set("0123456789abcdef") and not path.is_symlink()
    try:
        return named and {file.name for file in path.iterdir()} <= {STATES, ABOUT}
    except OSError:  # not ours to read, or removed by another process meanwhile
        return False


def name_in(path: Path) -> str:
    """The name of the cache that a folder holds or was to hold."""
    return path.name.removeprefix(".").removesuffix(".part")
