"""The loop to near-zero loss: stop rule, probes, checkpoints, resume."""

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from accelerate import Accelerator
from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.adapt import adapt, learning
from hyperfit.console import progress, say
from hyperfit.errors import UserError
from hyperfit.interrupts import stop_requests
from hyperfit.job import Job, check, environment
from hyperfit.model import load_model
from hyperfit.probe import Probe, probe
from hyperfit.recipe import Recipe
from hyperfit.result import save_result
from hyperfit.rundir import RunDir, writing
from hyperfit.state import State

Say = Callable[[str], None]


def train(recipe: Recipe, output: Path | str, *, resume: bool = False, tell: Say = say) -> RunDir:
    """Train as the recipe says and leave the result in the folder ``output``.

    resume: go on from the newest checkpoint of the run that lies there (or begin, if none does). A
    resumed run ends with the same weights, bit for bit, as one that was never stopped. Raises
    UserError for anything wrong with the input, all at once, before the folder is made; and for a
    loss that becomes NaN. KeyboardInterrupt after Ctrl-C or SIGTERM, with the run left resumable.
    """
    accelerator = Accelerator(cpu=recipe.device == "cpu", mixed_precision="no", device_placement=False)
    run = RunDir(Path(output))
    going_on = resume and (run.path / "recipe.json").exists()
    job = check(recipe, run, going_on)
    if accelerator.num_processes > 1:
        job = Job(recipe, job.tokenizer, job.corpus, accelerator.device, job.precision)
    if going_on and run.end and run.end["reason"] in ("loss", "epochs"):
        tell(f"{run.path}: this run has ended already ({run.end['reason']})")
        return run
    tell(job.corpus.describe())
    dtype = torch.bfloat16 if job.precision == "bf16" and recipe.method != "full" else torch.float32
    model = adapt(load_model(recipe.model, device=job.device, dtype=dtype), recipe).eval()
    tell(f"{learning(model).describe()}; {job.precision} on {job.device}")
    optimizer = torch.optim.AdamW(
        (p for p in model.parameters() if p.requires_grad), lr=recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    state = State(model, optimizer)
    if going_on:
        rewind(run, state, tell)
    elif accelerator.is_main_process:
        RunDir.create(run.path, recipe, environment(job, model))
    accelerator.wait_for_everyone()
    try:
        with stop_requests() as stop:
            loop(job, run, state, accelerator, stop, tell)
    finally:
        accelerator.free_memory()
    return run


def rewind(run: RunDir, state: State, tell: Say) -> None:
    """Load the newest good checkpoint and drop the events that came after it."""
    checkpoint = run.newest_checkpoint(tell)
    if checkpoint is None:
        run.rewind_events(0)
        tell(f"{run.path}: no checkpoint yet, starting from the beginning")
        return
    state.read(checkpoint)
    run.rewind_events(checkpoint.place["events_size"])
    tell(f"{run.path}: going on after update {state.update} (epoch {state.epoch + 1})")


def loop(
    job: Job, run: RunDir, state: State, accelerator: Accelerator, stop: Callable[[], bool], tell: Say
) -> None:
    """Epochs until the loss is reached, the epochs are used up, or a signal asks to stop."""
    recipe = job.recipe
    main = accelerator.is_main_process
    model, optimizer = accelerator.prepare(state.model, state.optimizer)
    if state.update == 0 and main:
        run.append({"event": "epoch", "epoch": 0, "step": 0, "train_loss": None, **look(job, state).event, "seconds": 0.0})
    while state.reason is None:
        started = time.monotonic()
        updates = epoch_order(recipe, state.epoch, len(job.corpus.train), accelerator.num_processes)
        with progress(f"epoch {state.epoch + 1} of at most {recipe.epochs}", len(updates)) as advance:
            advance(state.batch)
            for rows in updates[state.batch :]:
                interrupted = update(job, state, model, optimizer, rows, accelerator, stop)
                if not math.isfinite(state.loss_sum):
                    raise diverged(run, state, main)
                if interrupted:
                    raise interrupt(run, state, main, tell)
                advance(1)
        end_epoch(job, run, state, main, time.monotonic() - started, tell)
        accelerator.wait_for_everyone()
    if main:
        finish(job, run, state, tell)
    accelerator.wait_for_everyone()


def epoch_order(recipe: Recipe, epoch: int, count: int, processes: int) -> list[list[int]]:
    """The rows of each update of an epoch: all of them, the last update as small as it comes out."""
    order = np.random.default_rng([recipe.seed, 3, epoch]).permutation(count).tolist()
    size = recipe.batch_size * recipe.accumulate * processes
    return [order[start : start + size] for start in range(0, count, size)]


def update(
    job: Job,
    state: State,
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    rows: list[int],
    accelerator: Accelerator,
    stop: Callable[[], bool],
) -> bool:
    """One optimiser step on the mean loss over the tokens of ``rows``; true if a process was asked to stop."""
    recipe, processes = job.recipe, accelerator.num_processes
    predicted = len(rows) * (job.corpus.train.shape[1] - 1)
    mine = rows[accelerator.process_index :: processes]
    pieces = [mine[start : start + recipe.batch_size] for start in range(0, len(mine), recipe.batch_size)]
    loss_sum = torch.zeros((), dtype=torch.float64, device=job.device)
    for index, piece in enumerate(pieces or [rows[:1]]):
        weight = 1.0 if pieces else 0.0  # a process without rows still has to take part
        last = index == max(len(pieces), 1) - 1
        with nullcontext() if last else accelerator.no_sync(model):
            loss = weight * summed_loss(model, job.corpus.train[piece].to(job.device), job)
            # accelerate averages gradients over processes; the loss is a mean over all their tokens
            accelerator.backward(loss * processes / predicted)
        loss_sum += loss.detach()
    reduced = accelerator.reduce(torch.stack([loss_sum, loss_sum.new_tensor(float(stop()))]), reduction="sum")
    state.loss_sum += float(reduced[0])
    if math.isfinite(state.loss_sum):
        if recipe.clip is not None:
            accelerator.clip_grad_norm_(list(state.learned.values()), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        state.batch += 1
        state.update += 1
        state.tokens += predicted
    return bool(reduced[1] > 0)


def summed_loss(model: torch.nn.Module, ids: Tensor, job: Job) -> Tensor:
    """Cross-entropy summed over the predicted tokens of int64[batch, length], nats."""
    with job.autocast():
        logits = model(input_ids=ids, use_cache=False).logits[:, :-1]
    return F.cross_entropy(logits.float().flatten(0, 1), ids[:, 1:].flatten(), reduction="sum")


def look(job: Job, state: State) -> Probe:
    """A probe of the model as it stands."""
    assert isinstance(state.model, (PreTrainedModel, PeftModel))
    with job.autocast():
        return probe(state.model, job.tokenizer, job.corpus, job.recipe.probe_texts, job.recipe.batch_size)


def end_epoch(job: Job, run: RunDir, state: State, main: bool, seconds: float, tell: Say) -> None:
    """Decide whether training has ended, probe, log, and save a checkpoint."""
    recipe = job.recipe
    loss = state.loss_sum / state.tokens
    state.epoch, state.batch, state.loss_sum, state.tokens = state.epoch + 1, 0, 0.0, 0
    if recipe.stop_loss is not None and loss <= recipe.stop_loss:
        state.reason = "loss"
    elif state.epoch == recipe.epochs:
        state.reason = "epochs"
    if not main:
        return
    event = {"event": "epoch", "epoch": state.epoch, "step": state.update, "train_loss": round(loss, 6)}
    if state.reason or (recipe.probe_every and state.epoch % recipe.probe_every == 0):
        event |= look(job, state).event
    run.append({**event, "seconds": round(seconds, 2)})
    tell(epoch_line(event, recipe.epochs, seconds))
    if state.reason or state.epoch % recipe.checkpoint_every == 0:
        run.save_checkpoint(state.update, state.place, state.write)


def epoch_line(event: dict[str, Any], epochs: int, seconds: float) -> str:
    """An epoch in one line for people."""
    names = {"train_loss": "train", "val_loss": "val", "entropy": "entropy", "ttr": "TTR"}
    numbers = [f"{short} {event[name]:.3f}" for name, short in names.items() if event.get(name) is not None]
    return f"epoch {event['epoch']:3} of at most {epochs}  {'  '.join(numbers)}  {seconds:.1f} s"


def finish(job: Job, run: RunDir, state: State, tell: Say) -> None:
    """Save the result, say plainly whether near-zero loss was reached, and let the checkpoints go."""
    assert isinstance(state.model, (PreTrainedModel, PeftModel))
    folder = run.path / ("adapter" if isinstance(state.model, PeftModel) else "model")
    losses = [event["train_loss"] for event in run.events("epoch") if event["train_loss"] is not None]
    with writing(folder) as aside:
        save_result(state.model, aside, job.recipe, job.tokenizer, losses[-1])
    reached = state.reason == "loss"
    run.append({"event": "end", "reason": state.reason, "epoch": state.epoch, "step": state.update, "train_loss": losses[-1]})
    run.discard_checkpoints()
    goal = f"the goal of {job.recipe.stop_loss}" if job.recipe.stop_loss is not None else "no goal set"
    verdict = "near-zero loss reached" if reached else "all epochs done, near-zero loss not reached"
    if job.recipe.stop_loss is None:
        verdict = "all epochs done"
    tell(f"{verdict}: training loss {losses[-1]:.3f} ({goal}) after {state.epoch} epochs; {folder}")


def diverged(run: RunDir, state: State, main: bool) -> UserError:
    """The loss is NaN or infinite: log it; the newest checkpoint is the last good state."""
    if main:
        run.append({"event": "end", "reason": "nan", "epoch": state.epoch, "step": state.update})
    return UserError(
        f"the training loss became {state.loss_sum} in epoch {state.epoch + 1}, update {state.update + 1}; give a smaller "
        f"--lr (or --precision fp32) and a new --output. The last good state stays in {run.path / 'checkpoints'}"
    )


def interrupt(run: RunDir, state: State, main: bool, tell: Say) -> KeyboardInterrupt:
    """Leave a checkpoint in the middle of the epoch, and log that the run was interrupted."""
    if main:
        run.save_checkpoint(state.update, state.place, state.write)
        run.append({"event": "end", "reason": "interrupted", "epoch": state.epoch, "step": state.update})
        tell(f"interrupted after update {state.update}; repeat the command with --resume to go on")
    return KeyboardInterrupt()
