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
        raise UserError(f"{name}: no such embedded {kind[:-1]}; there are {', '.join(PREFIX + each for each in known)}")
    return str(HERE / kind / short)
