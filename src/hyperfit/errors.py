"""The failures a user can mend.

    Exception
    └── UserError     bad input, a missing file, a full disk: one clear message, exit status 2

Anything else that is raised is a bug, and shows its traceback.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """One or more problems with what the user gave, each a sentence with the remedy in it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@contextmanager
def collecting(problems: list[str]) -> Iterator[None]:
    """Add the problems of a UserError raised inside to the list, and go on."""
    try:
        yield
    except UserError as error:
        problems.extend(error.problems)
