"""YAML files of tasks, read before lm-eval loads them: what is wrong with one, where, and what to do."""

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError, collecting, first_line
from hyperfit.evaluation.tasks.harness import task_manager

DATA = ("dataset_path", "custom_dataset", "class")
"""Keys of a task's file by one of which it comes to its examples."""
ENDINGS = (".yaml", ".yml")
PASSED_OVER = {"__pycache__", ".ipynb_checkpoints"}
"""Folders in which lm-eval looks for no tasks."""


def check_path(path: Path) -> None:
    """Raises UserError for a task's file, or for a folder's files, with which lm-eval can do nothing."""
    if not path.is_dir():
        check_file(path)
        return
    problems: list[str] = []
    for file in sorted(path.rglob("*.yaml")):
        if file.is_file() and not PASSED_OVER.intersection(file.parts):
            with collecting(problems):
                read_file(file, f"--tasks {path}: {file}")
    if problems:
        raise UserError(*problems)


def check_file(path: Path) -> None:
    """Raises UserError for a file that defines neither a task nor a group of tasks that are there."""
    config, told = read_file(path), f"--tasks {path}"
    if "class" in config:  # a task that Python code defines
        return
    if "group" in config:
        index = task_manager(defaults=False, folder=str(path.parent)).task_index
        problems = list(dict.fromkeys(f"{told}: {one}" for one in group_problems(config, index)))
        if problems:
            raise UserError(*problems)
    elif "task" not in config:
        raise UserError(f"{told}: has neither task: NAME nor group: NAME; write one of them into it")
    elif not named(config["task"]):
        raise UserError(
            f"{told}: its task is {config['task']!r}, and that is no name; write task: NAME, or group: NAME with a "
            "list of tasks"
        )
    elif not any(config.get(key) for key in DATA):
        raise UserError(f"{told}: names no examples; write dataset_path: NAME, of a data set or of its format (json)")


def read_file(path: Path, told: str | None = None) -> dict[str, Any]:
    """What a YAML file holds, with what it includes; the functions that it names are not looked for.

    Raises UserError, which begins with ``told`` (None: the flag and the file), for what cannot be read.
    """
    from lm_eval.tasks._yaml_loader import load_yaml

    cannot = f"{told or f'--tasks {path}'}: cannot be read as a task"
    try:
        found: dict[str, Any] = load_yaml(path, resolve_func=False)
    except OSError as error:
        other = Path(error.filename or path)
        what = f"{other}: {error.strerror}"
        raise UserError(f"{cannot} ({what}); put that file there, or correct what names it") from error
    except Exception as error:  # of the parser, which is not ours, and of what the file includes
        what = first_line(error)
        if isinstance(error, ValueError) and what.startswith("Expected YAML dict"):
            what = "it does not hold keys with values, such as task: NAME"
        elif (reason := getattr(error, "reason", None)) and not isinstance(error, OSError):
            allowed = "not allowed" not in reason
            what = (
                f"it is no text in UTF-8: {reason}" if allowed else f"it holds a character that YAML has not: {reason}"
            )
        if mark := getattr(error, "problem_mark", None):
            where = "" if Path(mark.name).resolve() == path.resolve() else f"{mark.name}, "
            what = f"{where}line {mark.line + 1}: {getattr(error, 'problem', None) or what}"
        raise UserError(f"{cannot} ({what}); correct it there") from error
    return found


def group_problems(config: Mapping[str, Any], index: Mapping[str, Any], within: Sequence[str] = ()) -> Iterator[str]:
    """What is wrong with a group, and with the groups in it.

    index: lm-eval's, of the tasks and groups of the folder. within: the names of the groups around it.
    """
    name, members = config["group"], config.get("task")
    if not named(name):
        yield f"its group is {name!r}, and that is no name; write group: NAME"
    elif name in within:
        yield f"the group {name} is part of itself; take it out of its own list"
    elif not isinstance(members, list) or not members:
        yield f"the group {name} has no list of tasks; write task: [NAME, NAME]"
    else:
        for member in members:
            yield from member_problems(member, config, index, (*within, name))


def member_problems(
    member: Any, group: Mapping[str, Any], index: Mapping[str, Any], within: Sequence[str]
) -> Iterator[str]:
    """What is wrong with one of a group's list: a name, or a task or group that is defined or changed there."""
    there = member if isinstance(member, dict) else {"task": member}
    called = there.get("group", there.get("task"))
    entry = index.get(str(called))
    if not named(called):
        yield f"the group {within[-1]} lists {member!r}, and that names no task; write the task's name"
    elif entry is not None:
        below = entry.cfg or {}
        if "group" in below:
            yield from (f"{entry.yaml_path}: {one}" for one in group_problems(below, index, within))
    elif "group" in there:
        yield from group_problems(there, index, within)
    elif not any({**group, **there}.get(key) for key in DATA):
        near = get_close_matches(str(called), index, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        yield (
            f"the group {within[-1]} lists {called}, which no .yaml file of its folder defines{meant}; "
            "correct the name, or take it out; tasks of lm-eval are given to --tasks by themselves"
        )


def named(value: Any) -> bool:
    """Whether what stands in a file is a name."""
    return isinstance(value, str) and bool(value.strip())
