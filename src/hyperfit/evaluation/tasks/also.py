"""Names of tasks that are wrong, told with whatever else a command is refused for."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from hyperfit.errors import UserError


@contextmanager
def also_of_tasks(names: Sequence[str]) -> Iterator[None]:
    """Add to a UserError raised inside what is wrong with these names; nothing is looked up where none is raised."""
    try:
        yield
    except UserError as error:
        raise UserError(*error.problems, *name_problems(names)) from error


def name_problems(names: Sequence[str]) -> Sequence[str]:
    """What is wrong with names of tasks, as far as it is seen without their data; or with lm-eval, if it is missing."""
    if not names:
        return ()
    from hyperfit.evaluation.tasks.harness import missing  # with torch
    from hyperfit.evaluation.tasks.named import check_names

    if lack := missing():
        return (f"--tasks: {lack}",)
    try:
        check_names(names)
    except UserError as error:
        return error.problems
    return ()
