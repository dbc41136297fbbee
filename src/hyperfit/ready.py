"""A job's model, ready to train: loaded or streamed, adapted, its prefix cached, the cache checked."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from transformers import PreTrainedModel

from hyperfit.adapt import adapt
from hyperfit.errors import UserError
from hyperfit.job import Job
from hyperfit.loss import SequenceLoss
from hyperfit.model import blocks_of, inner_model, load_model
from hyperfit.prefix.bypass import frozen_blocks, obstacle
from hyperfit.prefix.cache import PrefixCache, cache_prefix
from hyperfit.prefix.stream import stream_prefix
from hyperfit.rundir import remove

Say = Callable[[str], None]


def ready(job: Job, folder: Path, tell: Say) -> tuple[PreTrainedModel | PeftModel, PrefixCache | None]:
    """The adapted model in evaluation mode, and the cache that is attached to it, if one is.

    folder: where prefix caches lie. Raises UserError where a cache is required and cannot be had.
    """
    recipe, sequences = job.recipe, torch.cat([job.corpus.train, job.corpus.validation])
    if job.streaming:
        model, cache = stream_prefix(
            recipe.model,
            recipe.late_blocks,
            sequences,
            folder,
            batch_size=job.batch_size,
            device=job.device,
            precision=job.precision,
            tell=tell,
        )
        tell(cache.describe())
        return compiled(lean(adapt(model, recipe).eval(), job), job, tell), cache
    dtype = torch.bfloat16 if job.precision == "bf16" and recipe.method != "full" else torch.float32
    adapted = lean(adapt(load_model(recipe.model, device=job.device, dtype=dtype), recipe).eval(), job)
    adapted = compiled(adapted, job, tell)
    if job.prefix_cache == "off":
        return adapted, None
    try:
        return adapted, cached(adapted, job, sequences, folder, tell)
    except UserError as error:
        if job.prefix_cache == "required":
            raise UserError(*(f"--prefix-cache required: {problem}" for problem in error.problems)) from error
        tell(f"no prefix cache: {error}")
        return adapted, None


def lean(model: PreTrainedModel | PeftModel, job: Job) -> PreTrainedModel | PeftModel:
    """The model, its adapters without the cast of their input to fp32 that autocast undoes at once; no bit changes."""
    if job.precision == "bf16":
        layers: list[Any] = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        for layer in layers:
            layer.cast_input_dtype_enabled = False
    return model


def compiled(model: PreTrainedModel | PeftModel, job: Job, tell: Say) -> PreTrainedModel | PeftModel:
    """The model, with the blocks that learn compiled if the recipe says so. Raises UserError if that fails here."""
    if not job.recipe.compile:
        return model
    learned = [block for block in blocks_of(inner_model(model)) if any(p.requires_grad for p in block.parameters())]
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * len(learned))
    tell(f"compiling {len(learned)} blocks; this can take a minute")
    for block in learned:
        block.compile(dynamic=False)
    try:
        loss = SequenceLoss(model, job.autocast)(job.corpus.train[: job.batch_size].to(job.device))[1]
        torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad])
    except BackendCompilerFailed as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"--compile: the blocks cannot be compiled on this machine ({reason}); leave it out") from error
    return model


def cached(model: PreTrainedModel | PeftModel, job: Job, sequences: Tensor, folder: Path, tell: Say) -> PrefixCache:
    """The cache for a job's sequences, attached and checked. Raises UserError with the reason if there can be none."""
    if reason := obstacle(model, frozen_blocks(model)):
        raise UserError(reason)
    for _ in range(2):
        cache = cache_prefix(model, sequences, folder, batch_size=job.batch_size, precision=job.precision, tell=tell)
        if exact(model, cache, job.corpus.train[: job.batch_size].to(job.device), job):
            tell(cache.describe())
            return cache
        cache.detach()
        remove(cache.entry.path)
        if not cache.reused:
            break
    raise UserError("with it, loss and gradients of the first batch are not bit for bit those of the whole model")


def exact(model: PreTrainedModel | PeftModel, cache: PrefixCache, ids: Tensor, job: Job) -> bool:
    """Whether loss and gradients of int64[batch, length] sequences are bit for bit the same with and without."""
    loss_of, learned = SequenceLoss(model, job.autocast), [p for p in model.parameters() if p.requires_grad]

    def found() -> list[Tensor]:
        loss, part = loss_of(ids, share=1 / ids.numel())
        return [loss, *torch.autograd.grad(part, learned)]

    with cache.off():
        without = found()
    return all(torch.equal(one, other) for one, other in zip(without, found(), strict=True))
