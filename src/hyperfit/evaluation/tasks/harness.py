"""Tasks of the Language Model Evaluation Harness, and a model of ours measured on them by it."""

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from hyperfit.console import progress
from hyperfit.errors import UserError, pip_install
from hyperfit.evaluation.tasks.scores import Scores, scores_of
from hyperfit.metrics.predictions.predict import Model
from hyperfit.models.devices import memory_of
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.layout import inner_model, layout_of, positions_of
from hyperfit.recipes.recipe import Precision

SEED = 1234
"""Of the choice of few-shot examples: lm-eval's own."""
ABOUT_MACHINE = ("add_env_info", "get_git_commit_hash")
"""What lm-eval tells of where it runs, for seconds and through other programs, some of which complain aloud."""
MOST_AT_ONCE = 16
USUAL_LENGTH = 1024
"""Tokens of a long question with its examples, for the size of a batch."""


def missing() -> str | None:
    """What to install where lm-eval is missing; None where it is there."""
    try:
        import lm_eval  # noqa: F401
    except ImportError as error:
        return f"needs lm-eval, and {error.name or 'it'} is missing; {pip_install('lm-eval')}"
    return None


@dataclass(frozen=True)
class NamedTask:
    """What has a row of its own: a task, or a group of tasks whose examples count together."""

    name: str
    parts: tuple[Any, ...]
    """lm-eval's tasks, more than one of a group."""


@dataclass(frozen=True)
class Harness:
    """On which tasks models are measured."""

    tasks: tuple[NamedTask, ...]
    limit: int | None = None
    """Examples of each task, the first. None: all."""

    def measure(
        self,
        task: NamedTask,
        model: Model,
        tokenizer: PreTrainedTokenizerBase,
        device: torch.device,
        precision: Precision,
    ) -> dict[str, Scores]:
        """{part: what the model scores on it}, of the task's parts. Raises UserError for what cannot be run."""
        import lm_eval

        with silent(), evaluating(model):
            try:
                found = lm_eval.simple_evaluate(
                    model=wrapped(task.name, model, tokenizer, device, precision),
                    tasks=list(task.parts),
                    limit=self.limit,
                    bootstrap_iters=0,
                    log_samples=True,
                    fewshot_random_seed=SEED,
                    task_manager=task_manager(defaults=False),
                )
            except AssertionError as error:  # so it says that a question, or room for an answer, is too long
                positions = positions_of(inner_model(model).config)
                raise UserError(
                    f"--tasks {task.name}: does not fit into the {positions} positions of the model "
                    f"({error or 'an answer is longer'})"
                ) from error
        return {
            part.task_name: scores_of(
                part.task_name,
                found["samples"][part.task_name],
                choosing=part.OUTPUT_TYPE == "multiple_choice",
            )
            for part in task.parts
        }


def wrapped(
    name: str, model: Model, tokenizer: PreTrainedTokenizerBase, device: torch.device, precision: Precision
) -> Any:
    """A loaded model as the harness wants it: our device and precision, probabilities in fp32, our bars of progress."""
    from lm_eval.api import model as api
    from lm_eval.models import huggingface

    build: Any = huggingface.HFLM
    hook: Any = api.CacheHook(None)  # told of every request that is answered
    config = inner_model(model).config
    limit = positions_of(config)
    vocabulary = layout_of(inner_model(model)).vocabulary
    room = memory_of(device) / 16 / (2 * 4 * vocabulary * min(limit or USUAL_LENGTH, USUAL_LENGTH))
    wrapper = build(
        pretrained=model,
        backend="causal",
        tokenizer=tokenizer,
        max_length=limit,
        batch_size=max(1, min(MOST_AT_ONCE, int(room))),
        softmax_dtype="float32",
        mixed_precision_dtype="bfloat16" if precision == "bf16" else None,
    )
    wrapper.cache_hook = hook

    def shown(answer: Callable[..., Any], requests: Sequence[Any], **how: Any) -> Any:
        with progress(name, len(requests)) as advance:
            hook.add_partial = lambda *request: advance(1)
            return answer(requests, **{**how, "disable_tqdm": True})

    for kind in ("loglikelihood", "loglikelihood_rolling", "generate_until"):
        setattr(wrapper, kind, partial(shown, getattr(wrapper, kind)))
    tokens = wrapper._loglikelihood_tokens
    wrapper._loglikelihood_tokens = lambda requests, **how: tokens(requests, **{**how, "disable_tqdm": True})
    return wrapper


def task_manager(*, defaults: bool, folder: str | None = None) -> Any:
    """lm-eval's index: of its own tasks, which takes some seconds, and of those in a folder."""
    from lm_eval.tasks import TaskManager

    with silent():
        return TaskManager(include_path=folder, include_defaults=defaults)


@contextmanager
def silent() -> Iterator[None]:
    """Without the harness's own news, warnings and bars: its words are for its own command line."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with no_bars():
            yield


@contextmanager
def no_bars() -> Iterator[None]:
    """Without its log and bars, those of what it uses, and what it tells of the machine and its git."""
    import datasets
    from lm_eval import evaluator
    from lm_eval.api import task

    ours: Any = task
    about = {name: getattr(evaluator, name) for name in ABOUT_MACHINE}
    logger = logging.getLogger("lm_eval")
    level, bars, bar = logger.level, datasets.are_progress_bars_disabled(), ours.tqdm
    shown = transformers_logging.get_verbosity()
    logger.setLevel(logging.CRITICAL)
    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    ours.tqdm = partial(bar, disable=True)
    for name in about:
        setattr(evaluator, name, lambda *storage: None)
    try:
        yield
    finally:
        ours.tqdm = bar
        for name, tell in about.items():
            setattr(evaluator, name, tell)
        transformers_logging.set_verbosity(shown)
        logger.setLevel(level)
        if not bars:
            datasets.enable_progress_bars()
