"""Tasks as a user names them: lm-eval's own, groups and tags of them, a YAML file, a folder of such, or our own."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hyperfit.data.builtin import PREFIX
from hyperfit.data.reading.hub import check_hub
from hyperfit.errors import UserError, collecting, first_line
from hyperfit.evaluation.tasks import continuation
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
    """Raises UserError with every name that is neither a task of lm-eval, a file or folder here, nor one of ours."""
    problems = []
    for name in names:
        if name == continuation.NAME or Path(name).exists():
            continue
        known = [continuation.NAME] if name.startswith(PREFIX) else own_tasks().all_tasks
        if name in known:
            continue
        near = get_close_matches(name, known, 1) or ([continuation.NAME] if name.startswith(PREFIX) else [])
        meant = f"did you mean {near[0]}?" if near else "lm_eval ls tasks lists those of lm-eval"
        problems.append(f"--tasks {name}: neither a task of lm-eval, nor a YAML file or folder here; {meant}")
    if problems:
        raise UserError(*problems)


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
            raise UserError(f"--tasks {name}: no YAML file in this folder defines a task")
        return [one for task in manager.all_subtasks for one in built(manager, task, name)]
    if path.is_file():
        if group := group_of(path):  # which names tasks beside it; by its path lm-eval 0.4.13 cannot load one
            return built(task_manager(defaults=False, folder=str(path.parent)), group, name)
        return built(task_manager(defaults=False), name, name)
    manager = own_tasks()
    for source in sorted(data_sets(manager, name)):
        try:
            check_hub(source, "dataset")
        except UserError as error:
            raise UserError(f"--tasks {name}: its data set {error}") from error
    return built(manager, name, name)


def group_of(path: Path) -> str | None:
    """The name of the group that a YAML file defines; None if it defines a task. Raises UserError if it is no YAML."""
    from lm_eval.tasks._yaml_loader import load_yaml

    try:
        group: str | None = load_yaml(path, resolve_func=False).get("group")
    except Exception as error:  # of the file, of what it includes, and of the parser below
        raise UserError(f"--tasks {path}: cannot be read as a task ({first_line(error)})") from error
    return group


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
            f"--tasks {name}: lm-eval cannot load it ({type(error).__name__}: {first_line(error)})"
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
