"""What hyperfit reads and writes in a run's folder; what else lies there is nobody's business."""

from collections.abc import Iterator
from contextlib import suppress
from fnmatch import fnmatchcase
from os.path import realpath
from pathlib import Path

from hyperfit.data.reading.inside import check_inside, outside

CONTENTS = (
    *("recipe.json", "environment.json", "events.jsonl", "checkpoints", "adapter", "model", "tensorboard", "epochs"),
    *("samples", "evaluation.json", "evaluation_values.json", "citations-*.safetensors", "completions.*", "tables"),
    *("mechanism.json", "mechanism.html", "plots", "placement", "judgements", "export", "report.html"),
)
"""As docs/reference/run-folder.md tells them; of a folder all that is in it. Disks may take small letters for large."""


def check_contents(folder: Path) -> None:
    """Raises UserError for links that lead out of a run's folder, where hyperfit would read or write through them."""
    check_inside(folder, links_of(folder))


def links_of(folder: Path) -> list[Path]:
    """The links among a run's contents, and behind those that stay in its folder; each folder is looked at once."""
    there = folder.iterdir() if folder.is_dir() else ()
    own = [path for path in there if any(fnmatchcase(path.name.lower(), name) for name in CONTENTS)]
    return sorted(links_below(own, folder, set()))


def links_below(paths: list[Path], folder: Path, seen: set[str]) -> Iterator[Path]:
    """The links among paths, and in the folders that these are or lead to, as long as they lie in ``folder``."""
    for path in paths:
        if path.is_symlink():
            yield path
        if path.is_dir() and (there := realpath(path)) not in seen and not outside(folder, [path]):
            seen.add(there)
            inside = list[Path]()
            with suppress(PermissionError, FileNotFoundError):  # what cannot be listed, or has gone, is not read either
                inside = list(path.iterdir())
            yield from links_below(inside, folder, seen)
