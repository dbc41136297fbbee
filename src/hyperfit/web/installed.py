"""Whether the packages of the extra prefer are there."""

from collections.abc import Sequence
from importlib.util import find_spec

from hyperfit.errors import UserError, pip_install

SERVING = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "itsdangerous")
"""What the preference study's pages need."""
PLAYGROUND = ("fastapi", "uvicorn", "itsdangerous")
"""What the playground needs."""
SCORING = ("choix", "httpx2")
"""What scores and judges need."""


def check_installed(what: str, packages: Sequence[str] = SERVING) -> None:
    """Raises UserError where a package is missing. what: the command that needs it."""
    absent = [name for name in packages if find_spec(name) is None]
    if absent:
        raise UserError(f"{what}: needs {', '.join(absent)}; {pip_install(*absent)}")
