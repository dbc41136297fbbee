"""Fill a prefix cache, and train above it, without ever holding the frozen blocks: one at a time, from the disk."""

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from accelerate import init_empty_weights
from accelerate.utils import set_module_tensor_to_device
from safetensors import safe_open
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key

from hyperfit.console import Advance, say
from hyperfit.errors import UserError
from hyperfit.models.adapt import late_parameters
from hyperfit.models.causal import check_first_block
from hyperfit.models.classes import model_class
from hyperfit.models.devices import autocast
from hyperfit.models.experts import compute_apart
from hyperfit.models.forward import PASSED_OVER, last_hidden
from hyperfit.models.layout import blocks_of, layout_of
from hyperfit.models.loading import UNREADABLE, load_config
from hyperfit.models.weights import weight_files
from hyperfit.prefix.bypass import Bypass, below_the_cut, obstacle, parameters_of
from hyperfit.prefix.cache import PrefixCache, Say
from hyperfit.prefix.eviction import LIMIT
from hyperfit.prefix.plan import Plan
from hyperfit.prefix.rows import Rows
from hyperfit.prefix.states import States
from hyperfit.recipes.recipe import Precision


class Shards:
    """A model's weights in its safetensors files, read tensor by tensor."""

    def __init__(self, name: str, model: PreTrainedModel) -> None:
        """name: folder, hub id or builtin:NAME. Raises UserError if a weight of ``model`` is not in the files."""
        self.files = {key: file for file in weight_files(name) for key in keys_of(file)}
        renamings = [change for change in get_model_conversion_mapping(model) if isinstance(change, WeightRenaming)]
        known = model.state_dict()
        named = {rename_source_key(key, renamings, [], model.base_model_prefix, known)[0]: key for key in self.files}
        self.keys: dict[str, str] = {}
        """The model's names of weights → those in the files, as transformers renames them; a shared weight once."""
        for weight, _ in model.named_parameters():
            if weight not in named:
                raise UserError(
                    f"--streaming: {weight} is not in the safetensors files of {name} under this name, so the model "
                    "cannot be read block by block; train without --streaming"
                )
            self.keys[weight] = named[weight]

    def read(self, weight: str, dtype: torch.dtype) -> Tensor:
        """A tensor by the model's name of it, copied out of the file."""
        key = self.keys[weight]
        with safe_open(self.files[key], framework="pt") as file:
            tensor: Tensor = file.get_tensor(key)
            return tensor.to(dtype, copy=True)


def keys_of(file: Path) -> list[str]:
    """The tensors in a safetensors file. Raises UserError if it is damaged."""
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except UNREADABLE as error:
        raise UserError(f"{file}: cannot be read ({error}); copy or download it again") from error


def skeleton(name: str, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """A causal LM without weights: parameters frozen and on the meta device, buffers on ``device``; evaluation mode."""
    config = load_config(name)
    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = model_class(config).from_config(config, dtype=dtype)
    for module in model.modules():
        for part, buffer in module.named_buffers(recurse=False):
            setattr(module, part, buffer.to(device))
    model.tie_weights()
    model.requires_grad_(False)
    model.eval()
    return model


def stream_prefix(
    name: str,
    late_blocks: int,
    sequences: Tensor,
    folder: Path,
    *,
    batch_size: int,
    device: torch.device,
    precision: Precision,
    late_fp32: bool = False,
    limit: int = LIMIT,
    notify: Say = say,
) -> tuple[PreTrainedModel, PrefixCache]:
    """A causal LM of which only the last blocks, norm and head are in memory, with the cache that stands for the rest.

    Never more is held than one block, or the late blocks with norm and head, and the states of a batch. Everything is
    frozen. late_fp32: the late blocks and the norm are held in fp32 whatever the precision, to learn themselves. Raises
    UserError for what ``cache_prefix`` does, and for weights that cannot be read block by block.
    """
    model = skeleton(name, torch.bfloat16 if precision == "bf16" and not late_fp32 else torch.float32, device)
    if precision == "bf16" and late_fp32:
        late = late_parameters(model, late_blocks)
        for weight, parameter in model.named_parameters():
            if weight not in late:
                parameter.data = parameter.data.bfloat16()
    if not compute_apart(model, batch_size * sequences.shape[1]):
        raise UserError("--streaming: experts compute the texts of a batch together, so that states depend on it")
    shards = Shards(name, model)
    frozen = len(blocks_of(model)) - late_blocks
    if reason := obstacle(model, frozen):
        raise UserError(f"--streaming: {reason}")
    layout = layout_of(model)
    tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
    below = parameters_of(below_the_cut(model, frozen))
    tensors = ((weight, shards.read(weight, model.dtype)) for weight in below)
    ground = [weight for weight in below if layout.block_of(weight) is None]
    embedding = weights_under(model, layout.embedding)
    plan = Plan(model, frozen, Rows.of(sequences), batch_size, precision, device)

    first = plan.rows.batches(batch_size)[0]

    def walk(bypass: Bypass, push: Callable[[int], None]) -> Tensor:
        """Load one block after the other, ``push`` through it, and return the first batch's states above the last."""
        hidden: Tensor | None = None
        load(model, ground, shards, device)
        for index in range(frozen):
            block = weights_under(model, f"{layout.blocks}.{index}")
            load(model, block, shards, device)
            if index == 0:
                check_first_block(model, device)
            hidden = plan.run(bypass, first, hidden, index, index + 1)  # never through the file
            push(index)
            unload(model, block)
            if index == 0 and not tied:
                unload(model, embedding)
        assert hidden is not None
        return hidden.cpu()

    def fill(states: States, bypass: Bypass, advance: Advance) -> None:
        hidden = walk(bypass, lambda index: plan.push(states, bypass, index, index + 1, advance))
        if not torch.equal(states.read(first), hidden):
            raise UserError(f"{folder}: what was written is not what is read back; is the disk in order?")

    def right(states: States, bypass: Bypass) -> bool:
        return torch.equal(states.read(first), walk(bypass, lambda index: None))

    cache = plan.open(folder, tensors, fill, passes=frozen, limit=limit, notify=notify, right=right)
    unneeded = {weight for weight in below if weight not in ground} | (set() if tied else set(embedding))
    load(model, [weight for weight in shards.keys if weight not in unneeded], shards, device)
    model.tie_weights()
    refuse_without(cache, model.get_submodule(layout.embedding))
    check_upper(model, sequences[:batch_size].to(device), precision, device)
    return model, cache


def check_upper(model: PreTrainedModel, ids: Tensor, precision: Precision, device: torch.device) -> None:
    """Raises UserError if the blocks in memory need more than the states below: the embedding has no values now."""
    with torch.no_grad(), autocast(device, precision):
        if not bool(last_hidden(model, ids).isfinite().all()):
            raise UserError(f"--streaming: {model.config.model_type} feeds token embeddings into later blocks, too")


def load(model: PreTrainedModel, weights: list[str], shards: Shards, device: torch.device) -> None:
    """Read weights into the model, in the type of their places in it."""
    for weight in weights:
        value = shards.read(weight, model.get_parameter(weight).dtype)
        set_module_tensor_to_device(model, weight, device, value=value)


def unload(model: PreTrainedModel, weights: list[str]) -> None:
    """Let go of weights."""
    for weight in weights:
        set_module_tensor_to_device(model, weight, "meta")
    if sys.platform == "linux":  # glibc keeps what has been freed, block after block, until it is told
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)


def weights_under(model: PreTrainedModel, path: str) -> list[str]:
    """The names of a submodule's parameters."""
    return [f"{path}.{part}" for part, _ in model.get_submodule(path).named_parameters()]


def refuse_without(cache: PrefixCache, embedding: nn.Module) -> None:
    """Say what is the matter when the model is asked for what the cache does not hold."""

    def refuse(module: nn.Module, args: tuple[object, ...]) -> None:
        if cache.bypass.hidden is None and cache.bypass.model not in PASSED_OVER:
            raise UserError(
                "--streaming: the frozen blocks are not in memory, so that only sequences of the prefix cache can be "
                "read; load the finished run for others (hyperfit evaluate, hyperfit generate)"
            )

    embedding.register_forward_pre_hook(refuse)
