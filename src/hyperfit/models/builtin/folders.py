"""Where the built-in models lie."""

from pathlib import Path

from hyperfit.data.builtin import PREFIX
from hyperfit.errors import UserError
from hyperfit.models.builtin.smollm2 import smollm2_folder

MODELS = ("smollm2", "tiny")


def model_folder(name: str) -> str:
    """The folder that ``builtin:NAME`` means, or the name as it is.

    Raises UserError for a model that there is not, or that cannot be unpacked.
    """
    if not name.startswith(PREFIX):
        return name
    short = name.removeprefix(PREFIX)
    if short not in MODELS:
        there = ", ".join(PREFIX + each for each in MODELS)
        raise UserError(f"{name}: no such built-in model; give one of {there}")
    return str(smollm2_folder() if short == "smollm2" else Path(__file__).parent / short)
