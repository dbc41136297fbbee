"""Whether the packages of an extra are there."""

from collections.abc import Sequence
from importlib.util import find_spec

from hyperfit.errors import UserError

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "itsdangerous")
"""What the extra prefer brings."""
PLAYGROUND = ("fastapi", "uvicorn", "itsdangerous")
"""Those of them that serve pages."""


def check_installed(what: str, packages: Sequence[str] = PACKAGES) -> None:
    """Raises UserError where a package of the extra prefer is missing. what: the command that needs it."""
    absent = [name for name in packages if find_spec(name) is None]
    if absent:
        raise UserError(f"{what}: needs {', '.join(absent)}; pip install hyperfit[prefer]")
