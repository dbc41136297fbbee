"""The prefix cache of a model in memory: filled by the model itself, and attached to it."""

from pathlib import Path

from peft import PeftModel
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.console import Advance, say
from hyperfit.errors import UserError
from hyperfit.models.structure.forward import within_positions
from hyperfit.models.structure.layout import inner_model
from hyperfit.prefix.bypass import Bypass, below_the_cut, frozen_blocks, obstacle, parameters_of
from hyperfit.prefix.cache import ATTACHED, PrefixCache, Say
from hyperfit.prefix.disk.eviction import LIMIT
from hyperfit.prefix.disk.states import States
from hyperfit.prefix.plan import Plan
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.prefix.rows import Rows
from hyperfit.recipes.recipe import Precision


def cache_prefix(
    model: PreTrainedModel | PeftModel,
    sequences: Tensor,
    folder: Path | str,
    *,
    batch_size: int = 8,
    precision: Precision = "fp32",
    limit: int = LIMIT,
    notify: Say = say,
    processes: Processes = ALONE,
) -> PrefixCache:
    """Store what the frozen blocks make of int64[any, length] sequences, and attach it to the model.

    folder: where caches lie; one that is there for the same weights, sequences, depth, types and versions is used.
    batch_size: sequences of a forward pass; train with as many, for then rounding is the same. precision: bf16 where
    training computes under bfloat16 autocast. limit: bytes that all caches of the folder may take; before a new one is
    filled the least recently used go that no process reads. processes: those that fill it together and all call this;
    without them one of several fills it, and the others wait. Raises UserError if the model breaks a condition
    (``hyperfit.prefix.bypass.obstacle``) or the disk has no room.
    """
    frozen = frozen_blocks(model)
    if reason := obstacle(model, frozen):
        raise UserError(f"the prefix cannot be cached: {reason}")
    inner = inner_model(model)
    if inner in ATTACHED:
        ATTACHED[inner].detach()
    tensors = parameters_of(below_the_cut(inner, frozen)).items()
    plan = Plan(
        inner, frozen, Rows.of(within_positions(inner, sequences)), batch_size, precision, inner.device, processes
    )

    def fill(states: States, bypass: Bypass, advance: Advance) -> None:
        plan.push(states, bypass, 0, frozen, advance)

    return plan.open(Path(folder), tensors, fill, passes=1, limit=limit, notify=notify)
