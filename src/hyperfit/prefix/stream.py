"""Fill a prefix cache, and train above it, without ever holding the frozen blocks: one at a time, from the disk."""

import ctypes
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate.utils import set_module_tensor_to_device
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.console import Advance, say
from hyperfit.errors import UserError
from hyperfit.models.adapt import late_parameters
from hyperfit.models.devices import autocast
from hyperfit.models.loading import load_config
from hyperfit.models.skeleton import skeleton
from hyperfit.models.structure.causal import check_first_block
from hyperfit.models.structure.experts import compute_apart
from hyperfit.models.structure.forward import PASSED_OVER, last_hidden, within_positions
from hyperfit.models.structure.layout import blocks_of, layout_of
from hyperfit.prefix.bypass import Bypass, below_the_cut, obstacle, parameters_of
from hyperfit.prefix.cache import PrefixCache, Say
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.shards import Shards
from hyperfit.prefix.disk.states import States
from hyperfit.prefix.plan import Plan
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.prefix.rows import Rows
from hyperfit.recipes.recipe import Precision


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
    processes: Processes = ALONE,
) -> tuple[PreTrainedModel, PrefixCache]:
    """A causal LM of which only the last blocks, norm and head are in memory, with the cache that stands for the rest.

    Never more is held than one block, or the late blocks with norm and head, and the states of a batch. Everything is
    frozen. late_fp32: the late blocks and the norm are held in fp32 whatever the precision, to learn themselves.
    processes: those that fill it together, each of which reads the blocks for its share. Raises UserError for what
    ``cache_prefix`` does, and for weights that cannot be read block by block.
    """
    model = empty_model(name, late_blocks, device, precision, late_fp32=late_fp32)
    if not compute_apart(model, batch_size * sequences.shape[1]):
        raise UserError("--streaming: experts compute the texts of a batch together, so that states depend on it")
    shards = Shards(name, model)
    frozen = len(blocks_of(model)) - late_blocks
    if reason := obstacle(model, frozen):
        raise UserError(f"--streaming: {reason}")
    rows = Rows.of(within_positions(model, sequences))
    stream = Stream.of(Plan(model, frozen, rows, batch_size, precision, device, processes), shards, folder)
    cache = stream.open(limit, notify)
    stream.load_upper()
    refuse_without(cache, model.get_submodule(layout_of(model).embedding))
    check_upper(model, sequences[:batch_size].to(device), precision, device)
    return model, cache


def empty_model(
    name: str, late_blocks: int, device: torch.device, precision: Precision, *, late_fp32: bool
) -> PreTrainedModel:
    """The model without weights, their places in the types in which they are to be held."""
    dtype = torch.bfloat16 if precision == "bf16" and not late_fp32 else torch.float32
    model = skeleton(load_config(name), dtype, device)
    if precision == "bf16" and late_fp32:
        late = late_parameters(model, late_blocks)
        for weight, parameter in model.named_parameters():
            if weight not in late:
                parameter.data = parameter.data.bfloat16()
    return model


@dataclass(frozen=True)
class Stream:
    """The frozen blocks of a model without weights, loaded one after the other from its files."""

    plan: Plan
    shards: Shards
    folder: Path
    """Where prefix caches lie."""
    below: list[str]
    """Names of all weights that the states depend on."""
    ground: list[str]
    """Those of them that lie in no block."""
    embedding: list[str]
    """The embedding's weights, unless the head shares them: what can be let go of above the first block."""

    @classmethod
    def of(cls, plan: Plan, shards: Shards, folder: Path) -> "Stream":
        """The stream of a model as it was built: what is shared cannot be told any more once weights are loaded."""
        model, layout = plan.model, layout_of(plan.model)
        below = list(parameters_of(below_the_cut(model, plan.frozen)))
        tied = model.get_output_embeddings().weight is model.get_input_embeddings().weight
        return cls(
            plan,
            shards,
            folder,
            below=below,
            ground=[weight for weight in below if layout.block_of(weight) is None],
            embedding=[] if tied else weights_under(model, layout.embedding),
        )

    @property
    def model(self) -> PreTrainedModel:
        """The model that is loaded piece by piece."""
        return self.plan.model

    def open(self, limit: int, notify: Say) -> PrefixCache:
        """The cache, found or filled, attached to the model."""
        tensors = ((weight, self.shards.read(weight, self.model.dtype)) for weight in self.below)
        return self.plan.open(
            self.folder,
            tensors,
            self.fill,
            passes=self.plan.frozen,
            limit=limit,
            notify=notify,
            right=self.right,
        )

    def fill(self, states: States, bypass: Bypass, advance: Advance) -> None:
        """Write the states of this process's share. Raises UserError if they are not read back as they were written."""
        if not self.plan.share:
            return
        first = self.plan.share[0]
        hidden = self.walk(bypass, first, lambda index: self.plan.push(states, bypass, index, index + 1, advance))
        if not torch.equal(states.read(first), hidden):
            raise UserError(f"{self.folder}: what was written is not what is read back; is the disk in order?")

    def right(self, states: States, bypass: Bypass) -> bool:
        """Whether the file holds what the blocks make of this process's first batch."""
        first = self.plan.share[0]
        return torch.equal(states.read(first), self.walk(bypass, first, lambda index: None))

    def walk(self, bypass: Bypass, rows: range, push: Callable[[int], None]) -> Tensor:
        """Load one block after the other, ``push`` through it, and return the states of a batch above the last."""
        hidden: Tensor | None = None
        self.load(self.ground)
        for index in range(self.plan.frozen):
            block = weights_under(self.model, f"{layout_of(self.model).blocks}.{index}")
            self.load(block)
            if index == 0:
                check_first_block(self.model, self.plan.device)
            hidden = self.plan.run(bypass, rows, hidden, index, index + 1)  # never through the file
            push(index)
            unload(self.model, block if index else [*block, *self.embedding])
        assert hidden is not None
        return hidden.cpu()

    def load_upper(self) -> None:
        """Read what is needed above the frozen blocks, and what lies in none but the embedding."""
        unneeded = {*self.below} - {*self.ground} | {*self.embedding}
        self.load([weight for weight in self.shards.keys if weight not in unneeded])
        self.model.tie_weights()

    def load(self, weights: list[str]) -> None:
        """Read weights into the model, in the type of their places in it."""
        for weight in weights:
            value = self.shards.read(weight, self.model.get_parameter(weight).dtype)
            set_module_tensor_to_device(self.model, weight, self.plan.device, value=value)


def check_upper(model: PreTrainedModel, ids: Tensor, precision: Precision, device: torch.device) -> None:
    """Raises UserError if the blocks in memory need more than the states below: the embedding has no values now."""
    with torch.no_grad(), autocast(device, precision):
        if not bool(last_hidden(model, ids).isfinite().all()):
            raise UserError(f"--streaming: {model.config.model_type} feeds token embeddings into later blocks, too")


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
