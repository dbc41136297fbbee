"""Whether what scores and judges need is there."""

from importlib.util import find_spec

from hyperfit.errors import UserError

PACKAGES = ("choix", "httpx2")
"""What the extra prefer brings for them."""


def check_scoring(what: str) -> None:
    """Raises UserError where a package is missing. what: the command that needs it."""
    absent = [name for name in PACKAGES if find_spec(name) is None]
    if absent:
        raise UserError(f'{what}: needs {", ".join(absent)}; pip install "hyperfit[prefer]"')
