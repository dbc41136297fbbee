"""Whether the packages of an extra are there."""

from importlib.util import find_spec

from hyperfit.errors import UserError

PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "itsdangerous")
"""What the extra prefer brings."""


def check_installed(what: str) -> None:
    """Raises UserError where a package of the extra prefer is missing. what: the command that needs it."""
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        raise UserError(f"{what}: needs {', '.join(absent)}; pip install hyperfit[prefer]")
