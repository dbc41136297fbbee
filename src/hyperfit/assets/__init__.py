"""Where the embedded model and texts lie: ``builtin:NAME`` stands for a folder of this package."""

from pathlib import Path

from hyperfit.errors import UserError

HERE = Path(__file__).parent
PREFIX = "builtin:"
TEXTS = ("fiction", "news", "wiki")
MODELS = ("tiny",)


def resolve(name: str, kind: str) -> str:
    """The folder that ``builtin:NAME`` means, or the name as it is. ``kind``: models or texts."""
    if not name.startswith(PREFIX):
        return name
    short = name.removeprefix(PREFIX)
    known = {"models": MODELS, "texts": TEXTS}[kind]
    if short not in known:
        flag = "--data " if kind == "texts" else ""
        there = ", ".join(PREFIX + each for each in known)
        raise UserError(f"{flag}{name}: no such embedded {kind[:-1]}; give one of {there}")
    return str(HERE / kind / short)
