"""The parts of a data set, by the names of its files and folders: to train on, held out, for a last test."""

import re
from collections.abc import Sequence
from pathlib import Path

NAMES = {
    "train": ("train", "training"),
    "heldout": ("heldout", "held-out", "held_out", "validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Of each part, how data sets call it."""

SHARD = r"(?:[-_.]?\d+(?:-of-\d+)?(?:-[0-9a-f]{8,})?)?"
"""What may stand behind the name of a part in that of a file, as in train-00000-of-00002."""


def parts_of_folder(folder: Path, files: Sequence[Path]) -> dict[str, list[Path]]:
    """Part → its files; nothing unless most files belong to one, and there are some to train on and of another one.

    A file belongs where the outermost folder below ``folder`` says that is named like a part, else where its own name
    says: train.jsonl, validation-00000-of-00001.parquet, stories_test.csv.
    """
    parts: dict[str, list[Path]] = {}
    for file in files:
        if part := part_of(file.relative_to(folder)):
            parts.setdefault(part, []).append(file)
    belong = sum(map(len, parts.values()))
    return parts if "train" in parts and len(parts) > 1 and belong > len(files) / 2 else {}


def part_of(path: Path) -> str | None:
    """The part that a path inside a data set names; None if it names none."""
    for folder in path.parent.parts:
        for part, names in NAMES.items():
            if folder.lower() in names:
                return part
    for part, names in NAMES.items():
        if re.fullmatch(rf"(?:.*[-_.])?(?:{'|'.join(names)}){SHARD}", path.stem.lower()):
            return part
    return None
