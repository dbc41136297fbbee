"""The failures a user can mend.

    Exception
    └── UserError     bad input, a missing file, a full disk: one clear message, exit status 2

Anything else that is raised is a bug, and shows its traceback.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, requires
from shlex import quote
from types import TracebackType


class UserError(Exception):
    """One or more problems with what the user gave, each a sentence with the remedy in it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class collecting:  # noqa: N801  # reads as a statement: ``with collecting(problems):``
    """Context manager that adds the problems of a UserError raised inside to a list, and goes on."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Swallow a UserError, nothing else."""
        if isinstance(error, UserError):
            self.problems.extend(error.problems)
            return True
        return False


@contextmanager
def naming(flag: str) -> Iterator[None]:
    """Put a flag in front of the problems of a UserError raised inside, which begin with what was given for it."""
    try:
        yield
    except UserError as error:
        raise UserError(*(f"{flag} {problem}" for problem in error.problems)) from error


def first_line(error: BaseException) -> str:
    """What an error of a library says first, or its kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def pip_install(*packages: str) -> str:
    """The command that installs packages which hyperfit can do without, in the versions that it takes.

    It names them and not one of hyperfit's extras: that would look for hyperfit itself on the package index.
    """
    try:
        asked = [one.partition(";")[0].strip() for one in requires("hyperfit") or ()]
    except PackageNotFoundError:  # not installed, but on the path
        asked = []
    bounds = {re.split(r"[\s<>=!~\[]", one, maxsplit=1)[0]: one for one in asked}
    return " ".join(["pip install", *(quote(bounds.get(name, name)) for name in packages)])
