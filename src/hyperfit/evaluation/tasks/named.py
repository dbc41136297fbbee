"""Tasks as a user names them: lm-eval's own, groups and tags of them, a YAML file, a folder of such, or our own."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperfit.data.builtin import PREFIX
from hyperfit.data.reading.hub import check_hub
from hyperfit.errors import UserError, collecting, first_line
from hyperfit.evaluation.tasks import continuation
from hyperfit.evaluation.tasks.files import ENDINGS, check_path, read_file
from hyperfit.evaluation.tasks.harness import Harness, NamedTask, silent, task_manager


def load_harness(names: Sequence[str], limit: int | None, folder: Path) -> Harness:
    """The tasks with their examples, each name's in turn; what is ours is written into the folder.

    A group whose tasks are measured alike counts as one, like MMLU; of tags, and of other groups, each task does.
    Raises UserError with every problem: unknown names, with what was perhaps meant, files that cannot be used, and data
    sets that cannot be had.
    """
    problems: list[str] = []
    tasks: list[NamedTask] = []
    for name in dict.fromkeys(names):
        with collecting(problems):
            check_names([name])
            tasks += loaded(name, folder)
    twice = {one.name for one in tasks if [other.name for other in tasks].count(one.name) > 1}
    problems += [f"--tasks: {name} is named twice, or part of another; give it once" for name in sorted(twice)]
    if problems:
        raise UserError(*problems)
    return Harness(tuple(tasks), limit)


def check_names(names: Sequence[str]) -> None:
    """Raises UserError with every name that is neither a task of lm-eval, a file or folder here, nor one of ours.

    Files are read, too, and what is wrong with them told as far as it is seen without their data.
    """
    problems: list[str] = []
    for name in dict.fromkeys(names):
        with collecting(problems):
            if name != continuation.NAME:
                check_name(name)
    if problems:
        raise UserError(*problems)


def check_name(name: str) -> None:
    """Raises UserError for a name that stands for nothing, or for files that cannot be used."""
    if Path(name).exists():
        check_path(Path(name))
        return
    known = [] if name.startswith(PREFIX) else own_tasks().all_tasks
    if name not in known:
        raise UserError(
            f"--tasks {name}: neither a task of lm-eval, nor a YAML file or folder here; {meant(name, known)}"
        )


def meant(name: str, known: Sequence[str]) -> str:
    """What a name that stands for nothing was perhaps meant to be; else where the names are told."""
    parts = [one.strip() for one in name.split(",")]
    if len(parts) > 1 and any(one in known or one == continuation.NAME or Path(one).exists() for one in parts):
        return f"names stand apart by spaces: --tasks {' '.join(one for one in parts if one)}"
    path = Path(name)
    of_file = path.suffix in ENDINGS
    if "/" in name or of_file:
        files = {one.name.lower(): str(one) for one in beside(path)}
        if near := get_close_matches(path.name.lower(), files, 1):
            return f"did you mean {files[near[0]]}?"
    near = []
    if path.parent == Path():
        names = {one.lower(): one for one in [*known, continuation.NAME]}
        near = [names[one] for one in get_close_matches((path.stem if of_file else path.name).lower(), names, 1)]
    if path.name.startswith(PREFIX):
        near = [continuation.NAME]
    return f"did you mean {near[0]}?" if near else "lm_eval ls tasks lists those of lm-eval"


def beside(path: Path) -> list[Path]:
    """The folders and YAML files where a file was looked for; none where there is no such folder."""
    try:
        return sorted(one for one in path.parent.iterdir() if one.is_dir() or (one.suffix in ENDINGS and one.exists()))
    except OSError:
        return []


NOT_DONE = {
    "MULTIMODAL": "shows pictures or plays sounds, and here models read text alone",
    "UNSAFE_CODE": "runs the program that a model writes, which is not done here",
}
"""How lm-eval marks a task that it refuses → what it does."""

INDEX: list[Any] = []


def own_tasks() -> Any:
    """lm-eval's index of its own tasks, read once."""
    if not INDEX:
        INDEX.append(task_manager(defaults=True))
    return INDEX[0]


def loaded(name: str, folder: Path) -> list[NamedTask]:
    """What one name stands for. Raises UserError if it cannot be had."""
    if name == continuation.NAME:
        path = continuation.write_continuation(folder / "continuation")
        return built(task_manager(defaults=False), str(path), name)
    path = Path(name)
    if path.is_dir():
        manager = task_manager(defaults=False, folder=name)
        if not manager.all_subtasks:
            raise UserError(f"--tasks {name}: no YAML file in this folder defines a task (task: NAME, in a file .yaml)")
        return [one for task in manager.all_subtasks for one in built(manager, task, name)]
    if path.is_file():
        if group := read_file(path).get(
            "group"
        ):  # which names tasks beside it; by its path lm-eval 0.4.13 cannot load one
            return built(task_manager(defaults=False, folder=str(path.parent)), group, name)
        return built(task_manager(defaults=False), name, name)
    manager = own_tasks()
    for source in sorted(data_sets(manager, name)):
        try:
            check_hub(source, "dataset")
        except UserError as error:
            raise UserError(f"--tasks {name}: its data set {error}") from error
    return built(manager, name, name)


def built(manager: Any, spec: str, name: str) -> list[NamedTask]:
    """The tasks of an index's entry, or of a YAML file, with their data; ``name`` is what the user gave."""
    try:
        with silent():
            found = manager.load([spec])
    except (ConnectionError, FileNotFoundError) as error:
        raise UserError(
            f"--tasks {name}: its data set could not be had ({first_line(error)}); mend the network, or give tasks "
            f"whose data is here, such as {continuation.NAME}"
        ) from error
    except Exception as error:  # a task's YAML and the functions it names are anyone's code
        raise UserError(
            f"--tasks {name}: lm-eval cannot load it ({type(error).__name__}: {first_line(error)}); "
            + mended(error, name)
        ) from error
    tasks, groups = found["tasks"], found.get("groups", {})
    for task in tasks.values():
        if task.get_config("num_fewshot") is None:
            task.set_config(key="num_fewshot", value=0)
        if not len(task.eval_docs):
            raise UserError(f"--tasks {name}: {task.task_name} has no example")
        for mark, does in NOT_DONE.items():
            if getattr(task, mark, False):
                raise UserError(f"--tasks {name}: {task.task_name} {does}; leave it out")
    outer = groups.get(spec) if len(tasks) > 1 else None
    if outer is not None and outer.aggregate_metric_list:
        return [NamedTask(spec, tuple(tasks.values()))]
    return [NamedTask(one, (task,)) for one, task in tasks.items()]


def mended(error: Exception, name: str) -> str:
    """What to do about a task that lm-eval cannot load."""
    if not Path(name).exists():
        return "leave it out, or see lm-eval's own page on it"
    if key := re.search(r"unexpected keyword argument '(\w+)'", str(error)):
        from lm_eval.config.task import TaskConfig

        near = get_close_matches(key[1], [field.name for field in fields(TaskConfig)], 1)
        return f"{key[1]} is no key of a task's file" + (f" (did you mean {near[0]}?)" if near else "; take it out")
    if isinstance(error, KeyError):
        return "the file names a split, a metric or an aggregation that there is not; correct it there"
    return "correct that in the file"


def data_sets(manager: Any, name: str) -> set[str]:
    """Hub data sets that an entry of the index reads, those of a group's and a tag's tasks too."""
    return {source for entry in entries(manager, name) if (source := hub_name(entry.cfg or {}))}


def entries(manager: Any, name: str) -> Iterator[Any]:
    """An entry of the index and all below it, each once."""
    seen, left = set[str](), [name]
    while left:
        entry = manager.task_index.get(left.pop())
        if entry is None or entry.name in seen:
            continue
        seen.add(entry.name)
        yield entry
        below = (entry.cfg or {}).get("task") if entry.yaml_path else None
        left += [one for one in below if isinstance(one, str)] if isinstance(below, list) else []
        left += sorted(entry.tags) if entry.yaml_path is None else []


def hub_name(config: dict[str, Any]) -> str | None:
    """The data set of a task's YAML, if it is one of the hub."""
    source = config.get("dataset_path")
    own = isinstance(source, str) and "/" in source and not Path(source).exists()
    return source if own and isinstance(source, str) and source.count("/") == 1 else None
