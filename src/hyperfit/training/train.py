"""Train as a recipe says: what happens before and after the loop, and how a run that was stopped goes on."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs
from peft import PeftModel
from transformers import PreTrainedModel

from hyperfit.console import say
from hyperfit.models.adapt import learning
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.sizes import readable
from hyperfit.prefix.disk.store import FOLDER
from hyperfit.recipes.recipe import CacheMode, Recipe, Tracker
from hyperfit.runs.directory import ENDED, RunDir
from hyperfit.runs.trackers import tracked_by, tracking
from hyperfit.training.checks import CheckedRecipe, check, check_learning, environment
from hyperfit.training.interrupts import stop_requests, terminable
from hyperfit.training.lines import unreachable
from hyperfit.training.looks import Say
from hyperfit.training.loop import Loop
from hyperfit.training.processes.launch import (
    PATIENCE,
    check_launch,
    check_processes,
    device_of,
    divided,
    telling_of_lost,
)
from hyperfit.training.processes.machine import on_this_machine
from hyperfit.training.processes.sharding import Sharded
from hyperfit.training.processes.zero3 import divide_by_fsdp2
from hyperfit.training.setup import set_up, set_up_sharded
from hyperfit.training.state import State

NO_GREEDY_TEXT = (
    "--streaming: no greedy text in the probes, as it needs the whole model; hyperfit evaluate can do it later"
)


def train(
    recipe: Recipe,
    output: Path | str,
    *,
    resume: bool = False,
    prefix_cache: CacheMode = "auto",
    cache_dir: Path | str | None = None,
    cache_limit: str = readable(LIMIT),
    streaming: bool = False,
    log_with: Sequence[Tracker] = (),
    notify: Say = say,
) -> RunDir:
    """Train as the recipe says and leave the result in the folder ``output``.

    resume: go on from the newest checkpoint of the run that lies there (or begin, if none does). A
    resumed run ends, on a CPU with as many threads, with the same weights, bit for bit, as one that was
    never stopped. prefix_cache: compute the frozen blocks once and read their output back; the weights come out the
    same, bit for bit. auto: where that can be done; off; required: or fail. cache_dir: where caches lie; None: in
    ``.prefix-cache`` beside the run. cache_limit: how much all of them may take, such as 20GB; before a new one is
    filled the least recently used go that no run reads. streaming: never hold the frozen blocks; they are read
    from the disk one at a time to fill the cache, and greedy probes are left out. log_with: trackers that get the
    numbers of every epoch, too. Raises UserError for anything wrong
    with the input, all at once, before the folder is made; and for a loss that becomes NaN. KeyboardInterrupt after
    Ctrl-C or SIGTERM, with the run left resumable. Under ``accelerate launch`` the sequences of each update are shared
    among the processes, and so is filling the prefix cache; where it asks for FSDP2 (or ZeRO-3), what learns is, too.
    """
    run = RunDir(Path(output))
    check_launch()
    divide_by_fsdp2()
    accelerator = Accelerator(
        mixed_precision="no",
        device_placement=False,
        kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        **tracked_by(log_with, run.path),
    )
    check_processes(accelerator)
    notify = notify if accelerator.is_main_process else lambda line: None
    going_on = resume and (run.path / "recipe.json").exists()
    checked = check(
        recipe,
        run,
        going_on,
        device_of(recipe, accelerator),
        accelerator.num_processes,
        prefix_cache=prefix_cache,
        cache_limit=cache_limit,
        streaming=streaming,
        sharded=divided(),
        log_with=log_with,
    )
    folder = Path(cache_dir) if cache_dir else run.path.absolute().parent / FOLDER
    with telling_of_lost(run.path, accelerator.num_processes):
        begin_or_go_on(checked, run, folder, accelerator, going_on, notify, log_with)
    return run


def begin_or_go_on(
    checked: CheckedRecipe,
    run: RunDir,
    folder: Path,
    accelerator: Accelerator,
    going_on: bool,
    notify: Say,
    log_with: Sequence[Tracker],
) -> None:
    """Train what has been checked from its beginning, or its newest checkpoint. folder: where prefix caches lie."""
    main = accelerator.is_main_process
    accelerator.wait_for_everyone()
    if going_on and has_ended(run, notify):
        return
    model, prefix, sharded = make_ready(checked, folder, main, notify)
    state = State(model, adam(model, checked.recipe))
    now = surroundings(checked, model, prefix, accelerator.num_processes)
    if checked.streaming:
        notify(NO_GREEDY_TEXT)
    if main and not going_on:
        RunDir.create(run.path, checked.recipe, now)
    accelerator.wait_for_everyone()
    with stop_requests() as stop, prefix or nullcontext(), run.locked() if main else nullcontext():
        accelerator.wait_for_everyone()
        if going_on and has_ended(run, notify):  # by another process, while this one was loading the model
            return
        if going_on:
            rewind(run, state, now, notify, main)
        accelerator.wait_for_everyone()
        with tracking(accelerator, run, checked.recipe) as track:
            Loop(checked, run, state, prefix, accelerator, stop, notify, track, sharded).run_epochs()
        if stop():  # asked while the result was being saved
            raise KeyboardInterrupt


def make_ready(
    checked: CheckedRecipe, folder: Path, main: bool, notify: Say
) -> tuple[PreTrainedModel | PeftModel, PrefixCache | None, Sharded | None]:
    """As ``set_up``, and what is around a model that is divided; said to people: the texts before, what learns after.

    SIGTERM meanwhile is KeyboardInterrupt.
    """
    goal = unreachable(checked.recipe.stop_loss, checked.least_loss)
    for line in filter(None, (*checked.corpus.notes, checked.corpus.describe(), goal)):
        notify(line)
    model: PreTrainedModel | PeftModel
    prefix, sharded = None, None
    with terminable():
        if checked.sharded:
            sharded = set_up_sharded(checked, main, notify)
            model = sharded.model
        else:
            model, prefix = set_up(checked, folder, notify, on_this_machine(checked.device))
    shares = "; divided among the processes by FSDP2" if sharded else ""
    notify(f"{learning(model).describe()}; {checked.precision} on {checked.device}{shares}")
    return model, prefix, sharded


def surroundings(
    checked: CheckedRecipe, model: PreTrainedModel | PeftModel, prefix: PrefixCache | None, processes: int
) -> dict[str, Any]:
    """What environment.json holds: the ``environment``, and the prefix cache that the run reads, None without one."""
    cache = prefix and {
        "blocks": prefix.blocks,
        "name": prefix.entry.path.name,
        "seconds": prefix.entry.about["fill"]["seconds"],
    }
    return {**environment(checked, model, processes), "prefix_cache": cache}


def adam(model: PreTrainedModel | PeftModel, recipe: Recipe) -> torch.optim.Optimizer:
    """AdamW over what learns, with the recipe's rate and decay. Raises UserError if that is not held in fp32.

    In one pass over the weights where torch can: on a CPU, four times as fast as its several passes.
    """
    check_learning(model, recipe.learning_rate)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in learned)
    return torch.optim.AdamW(learned, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=fused)


def has_ended(run: RunDir, notify: Say) -> bool:
    """Whether there is nothing left to train. Raises UserError if the run diverged or its result is gone."""
    if not (run.end and run.end["reason"] in (*ENDED, "nan")):
        return False
    notify(f"{run.path}: this run has ended already ({run.end['reason']}); {run.result}")
    return True


def rewind(run: RunDir, state: State, now: dict[str, Any], notify: Say, main: bool) -> None:
    """Load the newest good checkpoint, drop the events that came after it, and say what else has changed."""
    for name in ("versions", "device_name", "attention", "threads", "processes"):
        if (before := run.environment.get(name)) != now[name]:
            notify(f"{name} was {before}, is now {now[name]}: the weights may differ from those of an unbroken run")
    checkpoint = run.newest_checkpoint(notify)
    if checkpoint is None:
        notify(f"{run.path}: no checkpoint yet, starting from the beginning")
    else:
        state.read(checkpoint)
        notify(f"{run.path}: going on after update {state.update} (epoch {state.epoch + 1})")
    if main:
        run.rewind_events(checkpoint.place["events_size"] if checkpoint else 0)
