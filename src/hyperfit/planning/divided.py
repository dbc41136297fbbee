"""What each GPU holds whole for a while where FSDP2 divides a model: what is outside of the blocks, and one block."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import nn

from hyperfit.models.structure.layout import blocks_of
from hyperfit.planning.stage import Stage
from hyperfit.recipes.recipe import Precision


@dataclass(frozen=True, kw_only=True)
class Together:
    """Bytes that are put together on each GPU (``hyperfit.training.processes.sharding``)."""

    outside: int
    """Of embedding, head and norms, for as long as a pass takes."""
    learning_outside: int
    """Of the gradients of these, which are there twice when they are summed."""
    block: int
    """Of the largest block, for as long as it computes."""
    learning: int
    """Of the largest block that learns: twice, as the next is fetched meanwhile, with its gradient, as it is summed."""


def together(stage: Stage, precision: Precision) -> Together:
    """What a model would put together."""
    blocks = [list(block.parameters()) for block in blocks_of(stage.inner)]
    inside = {one for block in blocks for one in block}
    outside = [one for one in stage.inner.parameters() if one not in inside]
    number = 2 if precision == "bf16" else 4
    summed = 4 if precision == "bf16" else 0  # in bf16 a copy of the gradient is made, in fp32
    return Together(
        outside=sum(one.nbytes for one in outside),
        learning_outside=sum(one.nbytes for one in outside if one.requires_grad),
        block=number * max(sum(one.numel() for one in block) for block in blocks),
        learning=(3 * number + summed) * max(learned(block) for block in blocks),
    )


def learned(parameters: Iterable[nn.Parameter]) -> int:
    """How many of them learn."""
    return sum(one.numel() for one in parameters if one.requires_grad)


def rounded_blocks(stage: Stage) -> int:
    """Bytes that autocast holds of blocks that learn, rounded to bfloat16, for as long as backward needs them."""
    return 2 * sum(learned(one for one in block.parameters() if one.ndim > 1) for block in blocks_of(stage.inner))
