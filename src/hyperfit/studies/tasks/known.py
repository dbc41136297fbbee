"""What a measurement on a task depends on, beside the model: by it a study's store finds what was measured once."""

from importlib.metadata import version
from inspect import getsource
from typing import Any

from hyperfit.evaluation.tasks.harness import NamedTask
from hyperfit.studies.grid.store import digest

PLACES = ("dataset_kwargs", "config_source")
"""Settings of a task that say where its files lie: a task that is moved is the same."""


def known_by(task: NamedTask, limit: int | None) -> dict[str, Any]:
    """All that a measurement on a task depends on, beside the model: definitions, versions, examples, limit."""
    return {
        "tasks": {one.task_name: digest(definition(one, limit)) for one in task.parts},
        "limit": limit,
        "lm_eval": version("lm_eval"),
    }


def definition(task: Any, limit: int | None) -> dict[str, Any]:
    """What a task asks: its YAML, version, examples, and those it may show before; not where their files lie."""
    config = task.dump_config()
    known: dict[str, Any] = {"config": without_places(config), "version": str(task.VERSION)}
    known["examples"] = [one for _, one in task.doc_iterator(rank=0, limit=limit, world_size=1)]
    if config.get("num_fewshot"):
        known["shown"] = [dict(one) for one in task.fewshot_docs() or ()]
    return known


def without_places(config: Any) -> Any:
    """A task's settings, functions by their source, without what says where files lie."""
    if isinstance(config, dict):
        return {key: without_places(one) for key, one in config.items() if key not in PLACES}
    if isinstance(config, (list, tuple)):
        return [without_places(one) for one in config]
    if callable(config):
        try:
            return getsource(config)
        except (TypeError, OSError):
            return getattr(config, "__qualname__", type(config).__qualname__)
    return config
