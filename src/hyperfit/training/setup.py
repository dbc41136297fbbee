"""The model of a checked recipe, ready to train: loaded or streamed, adapted, its prefix cached, the cache checked."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor
from torch._dynamo.exc import BackendCompilerFailed
from transformers import PreTrainedModel

from hyperfit.errors import UserError, first_line
from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.loading import load_config, load_model
from hyperfit.models.skeleton import give_places, skeleton
from hyperfit.models.structure.experts import compute_apart
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of
from hyperfit.prefix.bypass import frozen_blocks, obstacle
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.prefix.stream import stream_prefix
from hyperfit.runs.files import remove
from hyperfit.training.checks import CheckedRecipe
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.processes.sharding import Sharded, shard

Say = Callable[[str], None]


def set_up(
    checked: CheckedRecipe, folder: Path, notify: Say, processes: Processes = ALONE
) -> tuple[PreTrainedModel | PeftModel, PrefixCache | None]:
    """The adapted model in evaluation mode, and the cache that is attached to it, if one is.

    folder: where prefix caches lie. processes: those that fill one together. Raises UserError where a cache is required
    and cannot be had.
    """
    recipe, sequences = checked.recipe, torch.cat([checked.corpus.train, checked.corpus.validation])
    if checked.streaming:
        model, cache = stream_prefix(
            recipe.model,
            recipe.last_blocks,
            sequences,
            folder,
            batch_size=checked.batch_size,
            device=checked.device,
            precision=checked.precision,
            late_fp32=not recipe.adapters,
            limit=checked.cache_limit,
            notify=notify,
            processes=processes,
        )
        notify(cache.describe())
        return compiled(lean(adapt(model, recipe).eval(), checked), checked, notify), cache
    # weights that learn start as they are in the file, not rounded
    dtype = torch.bfloat16 if checked.precision == "bf16" and recipe.adapters else torch.float32
    adapted = adapt(load_model(recipe.model, device=checked.device, dtype=dtype), recipe).eval()
    if checked.precision == "bf16" and not recipe.adapters:
        round_frozen(adapted)
    # with a cache and without, so that both give the same bits
    apart = compute_apart(inner_model(adapted), checked.batch_size * sequences.shape[1])
    adapted = compiled(lean(adapted, checked), checked, notify)
    if checked.prefix_cache == "off":
        return adapted, None
    try:
        return adapted, cached(adapted, checked, sequences, folder, notify, processes, apart=apart)
    except UserError as error:
        if checked.prefix_cache == "required":
            raise UserError(*(f"--prefix-cache required: {problem}" for problem in error.problems)) from error
        notify(f"no prefix cache: {error}")
        return adapted, None


def set_up_sharded(checked: CheckedRecipe, main: bool, notify: Say) -> Sharded:
    """The adapted model in evaluation mode, divided among the processes; the first alone reads its weights.

    There is no prefix cache of it, which is told where there could be one of a whole model. Raises UserError for a
    model that cannot be divided.
    """
    recipe, cpu = checked.recipe, torch.device("cpu")
    if recipe.late and checked.prefix_cache != "off":
        notify("no prefix cache: the model is divided among the processes; --multi_gpu in place of FSDP has one")
    model = load_model(recipe.model, device=cpu, dtype=torch.float32) if main else unread_model(recipe.model)
    adapt(model, recipe).eval()
    if checked.precision == "bf16":
        round_frozen(model)
    sharded = shard(model, checked.device, checked.precision)
    compute_apart(model, checked.batch_size * checked.corpus.train.shape[1])
    return sharded


def unread_model(name: str) -> PreTrainedModel:
    """The causal LM in fp32 with room for its weights, which is not written yet and so takes no memory."""
    model = skeleton(load_config(name), torch.float32, torch.device("cpu"))
    layout_of(model)  # while none of its values could be taken for one
    give_places(model)
    return model


def lean(model: PreTrainedModel | PeftModel, checked: CheckedRecipe) -> PreTrainedModel | PeftModel:
    """The model, its adapters without the cast of their input to fp32 that autocast undoes at once; no bit changes."""
    if checked.precision == "bf16":
        layers: list[Any] = [module for module in model.modules() if isinstance(module, BaseTunerLayer)]
        for layer in layers:
            layer.cast_input_dtype_enabled = False
    return model


def compiled(model: PreTrainedModel | PeftModel, checked: CheckedRecipe, notify: Say) -> PreTrainedModel | PeftModel:
    """The model, with the blocks that learn compiled if the recipe says so. Raises UserError if that fails here."""
    if not checked.recipe.compile:
        return model
    learned = [block for block in blocks_of(inner_model(model)) if any(p.requires_grad for p in block.parameters())]
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 2 * len(learned))
    notify(f"compiling {len(learned)} blocks; this can take a minute")
    for block in learned:
        block.compile(dynamic=False)
    loss_of = SequenceLoss(model, checked.autocast, checked.recipe.unlikelihood)
    try:
        loss = loss_of(checked.corpus.train[: checked.batch_size].to(checked.device))[1]
        torch.autograd.grad(loss, [p for p in model.parameters() if p.requires_grad], allow_unused=True)
    except BackendCompilerFailed as error:
        reason = first_line(error)
        raise UserError(f"--compile: the blocks cannot be compiled on this machine ({reason}); leave it out") from error
    return model


def cached(
    model: PreTrainedModel | PeftModel,
    checked: CheckedRecipe,
    sequences: Tensor,
    folder: Path,
    notify: Say,
    processes: Processes,
    *,
    apart: bool,
) -> PrefixCache:
    """The cache for a recipe's sequences, attached and tested. Raises UserError with the reason if there is none.

    apart: whether no text's states depend on the others of its batch. Of several processes each tests it, and all have
    it or none.
    """
    if reason := obstacle(model, frozen_blocks(model)):
        raise UserError(reason)
    if not apart:
        raise UserError("experts compute the texts of a batch together, so that states depend on it in their last bits")
    first = checked.corpus.train[: checked.batch_size].to(checked.device)
    for _ in range(2):
        cache = cache_prefix(
            model,
            sequences,
            folder,
            batch_size=checked.batch_size,
            precision=checked.precision,
            limit=checked.cache_limit,
            notify=notify,
            processes=processes,
        )
        if processes.all(partial(exact, model, cache, first, checked)):
            notify(cache.describe())
            return cache
        cache.detach()
        if processes.leads:
            with suppress(OSError):  # a folder that is not ours to write in
                remove(cache.entry.path)
        if not cache.reused:
            break
    raise UserError("with it, loss and gradients of the first batch are not bit for bit those of the whole model")


def exact(model: PreTrainedModel | PeftModel, cache: PrefixCache, ids: Tensor, checked: CheckedRecipe) -> bool:
    """Whether loss and gradients of int64[batch, length] sequences are bit for bit the same with and without."""
    loss_of = SequenceLoss(model, checked.autocast, checked.recipe.unlikelihood)
    learned = [p for p in model.parameters() if p.requires_grad]

    def found() -> list[Tensor | None]:
        loss, part = loss_of(ids, share=1 / ids.numel())
        return [loss, *torch.autograd.grad(part, learned, allow_unused=True)]  # some read no weight in some layers

    with cache.off():
        without = found()
    return all(
        one is other or (one is not None and other is not None and torch.equal(one, other))
        for one, other in zip(without, found(), strict=True)
    )
