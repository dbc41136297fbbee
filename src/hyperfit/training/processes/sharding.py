"""A model divided among processes by FSDP2: each holds some rows of every weight, of its gradient and moments."""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.models.structure.layout import blocks_of, layout_of
from hyperfit.recipes.recipe import Precision


class Sharded(nn.Module):
    """Around a model that is divided: while its forward pass runs, everything outside of the blocks is whole.

    A block is put together when it computes, and let go of after it. All processes have to run the same blocks in the
    same order, on texts of their own or on the same ones.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """What ``work`` gives: any computation with the model, whose tensors may have gradients."""
        return work(*arguments)

    def look(self, work: Callable[[], Any]) -> Any:
        """What ``work`` gives, without gradients; nothing stays whole after it."""
        shards: Any = self  # fully_shard has given it another class
        with torch.no_grad():
            found = self(work)
        shards.reshard()
        return found


def shard(model: PreTrainedModel, device: torch.device, precision: Precision) -> Sharded:
    """Divide a model that the first process has read among all of them, each to hold its rows on ``device``.

    The weights keep their types. precision: in bf16 the blocks that learn are put together rounded, which halves what
    is sent and held, and gradients are summed in fp32. What other processes have in place of the weights does not
    count. Raises UserError for a model that cannot be divided.
    """
    check_divisible(model)
    check_alike(model)
    values = {name: one.detach() for name, one in named_tensors(model)}
    mesh = init_device_mesh(device.type, (dist.get_world_size(),))
    rounded = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
    policy = rounded if precision == "bf16" else MixedPrecisionPolicy()
    whole = Sharded(model)
    for block in blocks_of(model):
        fully_shard(block, mesh=mesh, mp_policy=policy)
    fully_shard(whole, mesh=mesh)
    with torch.no_grad():
        for name, one in named_tensors(model):
            value = values.pop(name).to(device).contiguous()
            dist.broadcast(value, src=0)
            own_rows(one).copy_(rows_of(value, one))
    return whole


def check_divisible(model: PreTrainedModel) -> None:
    """Raises UserError for parameters that blocks share, and for such that have no rows."""
    layout = layout_of(model)
    places: dict[nn.Parameter, set[int | None]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        places.setdefault(parameter, set()).add(layout.block_of(name))
    kind, instead = model.config.model_type, "launch with --multi_gpu, where every process holds the whole model"
    if any(len(blocks) > 1 for blocks in places.values()):
        raise UserError(f"{kind}: its blocks share weights, and cannot be divided one by one (FSDP); {instead}")
    if any(not parameter.ndim for parameter in places):
        raise UserError(f"{kind}: has weights that are single numbers, and cannot be divided (FSDP); {instead}")


def check_alike(model: PreTrainedModel) -> None:
    """Raises UserError where the first process has found other weights in the file than the config speaks of."""
    names = [name for name, _ in named_tensors(model)]
    found = [names]
    dist.broadcast_object_list(found, src=0)
    if found[0] != names:
        other = min({*names} ^ {*found[0]}, default=names[0])
        raise UserError(
            f"{model.config.model_type}: its file and its config do not agree on {other}, so that it cannot be divided "
            "(FSDP); save the model anew with transformers, or launch with --multi_gpu"
        )


def named_tensors(model: PreTrainedModel) -> list[tuple[str, Tensor]]:
    """(name, values) of all parameters, a shared one once, and of all buffers."""
    return [*model.named_parameters(), *model.named_buffers(remove_duplicate=False)]


def own_rows(tensor: Tensor) -> Tensor:
    """The rows of a tensor that this process holds, in place: of one that is not divided all."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def first_row(tensor: Tensor) -> int:
    """The place in the whole tensor of the first row that this process holds."""
    if not isinstance(tensor, DTensor):
        return 0
    count = len(tensor)
    return min(-(-count // dist.get_world_size()) * dist.get_rank(), count)


def rows_of(whole: Tensor, tensor: Tensor) -> Tensor:
    """Of a whole tensor the rows that this process holds in ``tensor``."""
    if not isinstance(tensor, DTensor):
        return whole
    return whole[first_row(tensor) :][: len(own_rows(tensor))]


def put_together(tensors: dict[str, nn.Parameter], *, main: bool) -> dict[str, Tensor]:
    """Divided tensors, whole and on the CPU, in the main process; nothing in the others, which all have to call it."""
    found: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, tensor in tensors.items():
            whole = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
            if main:
                found[name] = whole.cpu()
    return found
