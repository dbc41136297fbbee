"""Where a model lies that a user names: a built-in one, a GGUF file, or what the name says."""

from pathlib import Path

from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError
from hyperfit.models.builtin.smollm2 import smollm2_folder
from hyperfit.models.files.dequantise import gguf_folder

MODELS = ("smollm2", "tiny", "tiny-image")


def model_folder(name: str) -> str:
    """The folder that ``builtin:NAME`` or a GGUF file means, or the name as it is.

    Raises UserError for a model that there is not, or that cannot be unpacked.
    """
    if not name.startswith(PREFIX):
        file = gguf_file(Path(name))
        return name if file is None else str(gguf_folder(file))
    short = name.removeprefix(PREFIX)
    if short not in MODELS:
        there = ", ".join(PREFIX + each for each in MODELS)
        raise UserError(f"{name}: no such built-in model; give one of {there}")
    return str(smollm2_folder() if short == "smollm2" else Path(__file__).parents[1] / "builtin" / short)


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
