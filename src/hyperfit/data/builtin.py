"""The embedded texts: ``builtin:NAME`` stands for a folder of this package."""

from pathlib import Path

from hyperfit.errors import UserError

PREFIX = "builtin:"
TEXTS = ("fiction", "news", "wiki")


def text_source(name: str) -> str:
    """The folder that ``builtin:NAME`` means, or the name as it is. Raises UserError for texts that there are not."""
    if not name.startswith(PREFIX):
        return name
    short = name.removeprefix(PREFIX)
    if short not in TEXTS:
        there = ", ".join(PREFIX + each for each in TEXTS)
        raise UserError(f"--data {name}: no such embedded text; give one of {there}")
    return str(Path(__file__).parent / "texts" / short)
