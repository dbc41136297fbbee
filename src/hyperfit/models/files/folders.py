"""Where a model lies that a user names: a built-in one, a GGUF file, or what the name says."""

from collections.abc import Iterator
from pathlib import Path

from hyperfit.data.builtin import PREFIX
from hyperfit.data.reading.inside import check_inside
from hyperfit.errors import UserError
from hyperfit.models.builtin.smollm2 import smollm2_folder
from hyperfit.models.files.dequantise import gguf_folder
from hyperfit.models.files.shards import INDEX, shards_in

MODELS = ("smollm2", "tiny", "tiny-image")
TEMPLATES = "additional_chat_templates"
"""The only folder inside that of a model from which transformers reads by itself."""


def model_folder(name: str) -> str:
    """The folder that ``builtin:NAME`` or a GGUF file means, or the name as it is.

    Raises UserError for a model that there is not, or that cannot be unpacked, and for a folder whose links, or whose
    index of weights, lead out of it.
    """
    if not name.startswith(PREFIX):
        folder = Path(name)
        if folder.is_dir():
            check_inside(folder, model_files(folder))
        file = gguf_file(folder)
        return name if file is None else str(gguf_folder(file))
    short = name.removeprefix(PREFIX)
    if short not in MODELS:
        there = ", ".join(PREFIX + each for each in MODELS)
        raise UserError(f"{name}: no such built-in model; give one of {there}")
    return str(smollm2_folder() if short == "smollm2" else Path(__file__).parents[1] / "builtin" / short)


def model_files(folder: Path) -> Iterator[Path]:
    """What may be read of a model's folder: its files, chat templates, and the shards that its indexes name."""
    for path in sorted(folder.iterdir()):
        if not path.is_dir():
            yield path
        if path.name.endswith(INDEX):
            yield from (folder / shard for shard in shards_in(path))
    if (folder / TEMPLATES).is_dir():
        yield from (folder / TEMPLATES).iterdir()


def gguf_file(path: Path) -> Path | None:
    """The GGUF file that a path means, itself or the only one in a folder without config; None if it means none.

    Raises UserError if there are several.
    """
    if path.suffix.lower() == ".gguf" and path.is_file():
        return path
    if not path.is_dir() or (path / "config.json").exists():
        return None
    files = sorted(each for each in path.iterdir() if each.suffix.lower() == ".gguf")
    if len(files) > 1:
        raise UserError(f"{path}: holds several .gguf files; give one of {', '.join(map(str, files))}")
    return files[0] if files else None
