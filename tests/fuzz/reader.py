"""What every kind of file has: a whole one to damage, and what reads it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reader:
    """A kind of file."""

    name: str
    """As it is called in a folder."""
    whole: Callable[[], bytes]
    """One that is in order."""
    read: Callable[[Path], Any]
    """Reads it. Raises UserError for what it cannot read, and nothing else."""
    beside: Callable[[Path], None] = lambda folder: None
    """Puts what else belongs there into the folder."""
