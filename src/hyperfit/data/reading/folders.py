"""The files of a folder that can be read."""

from collections import Counter
from collections.abc import Collection
from pathlib import Path

from hyperfit.data.reading.inside import check_inside
from hyperfit.errors import UserError, naming


def files_of(folder: Path, endings: Collection[str]) -> tuple[list[Path], list[str]]:
    """(the files with such endings in a folder and in those below it, a note on the others): in the order of names.

    Hidden files, and those of hidden folders, are left out. A link that leads nowhere is among them, so that whoever
    reads it says so; a link to a folder inside is not followed, as that is read where it lies. Raises UserError if
    there is no such file, and for links that lead out of the folder, to a file or to other folders.
    """
    shown = sorted(path for path in folder.rglob("*") if not is_hidden(path.relative_to(folder)))
    seen = [path for path in shown if path.is_file() or leads_nowhere(path)]
    files = [path for path in seen if path.suffix.lower() in endings]
    with naming("--data"):
        links = (path for path in shown if path.is_symlink())
        check_inside(folder, (link for link in links if link.is_dir() or link.suffix.lower() in endings))
    known = ", ".join(endings)
    if not files:
        raise UserError(f"--data {folder}: no {known} file in this folder or below it; name another")
    others = Counter(path.suffix or "no ending" for path in seen if path.suffix.lower() not in endings)
    named = ", ".join(f"{count} {ending}" for ending, count in sorted(others.items()))
    return files, [f"{folder}: files skipped: {named}; what can be read is {known}"] * bool(others)


def leads_nowhere(path: Path) -> bool:
    """Whether it is a link to what is not there."""
    return path.is_symlink() and not path.exists()


def is_hidden(path: Path) -> bool:
    """Whether the name of a file inside a folder, or of a folder it is in, begins with a full stop."""
    return any(part.startswith(".") for part in path.parts)
