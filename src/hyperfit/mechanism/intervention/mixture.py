"""One model made of two: each block the base's, the tuned model's, or a blend, for as long as a block of code runs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from peft.utils import ModulesToSaveWrapper
from torch import nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.models.structure.layout import inner_model, layout_of, under


@contextmanager
def mixed(pair: Pair, weights: Sequence[float]) -> Iterator[PreTrainedModel | PeftModel]:
    """The model whose block i has the base's weights + weights[i] * (the tuned model's - the base's).

    0 is exactly the base's block and 1 exactly the tuned model's; any other number blends, or goes beyond. Token and
    position embeddings follow the first block, final norm and head the last one, also where embedding and head are one
    matrix: inside the block of code they then are two. So all 0 is the base and all 1 the tuned model, to the bit.
    The pair is as it was after the block of code. Raises UserError where a blend is asked of a part that is swapped
    whole (a fully saved module, or a variant of LoRA).
    """
    if len(weights) != pair.depth:
        raise ValueError(f"{pair.depth} blocks need as many weights, not {len(weights)}")
    with ExitStack() as undo:
        if pair.base is None:
            for name, module in inner_model(pair.tuned).named_modules():
                if isinstance(module, (BaseTunerLayer, ModulesToSaveWrapper)):
                    undo.enter_context(_adapter_at(module, weight_of(pair, name, weights), name))
        else:
            undo.enter_context(_parameters_at(pair, pair.base, weights))
        yield pair.tuned


def weight_of(pair: Pair, name: str, weights: Sequence[float]) -> float:
    """The weight that holds for a module or parameter, by its name in the model."""
    layout = layout_of(inner_model(pair.tuned))
    if (block := layout.block_of(name)) is not None:
        return weights[block]
    return weights[-1] if under(name, layout.above(pair.depth)) else weights[0]


@contextmanager
def _adapter_at(module: BaseTunerLayer | ModulesToSaveWrapper, weight: float, name: str) -> Iterator[None]:
    """One adapted layer with its adapter off at 0, as it is at 1, and scaled in between."""
    if weight == 1:
        yield
    elif weight == 0:
        whole: Any = module
        learns = [(parameter, parameter.requires_grad) for parameter in whole.parameters()]
        module.enable_adapters(False)
        try:
            yield
        finally:
            module.enable_adapters(True)
            for parameter, learned in learns:  # enabling an adapter lets it learn
                parameter.requires_grad_(learned)
    elif isinstance(module, LoraLayer) and not module.lora_variant:
        scaling = dict(module.scaling)
        module.scaling.update({adapter: scale * weight for adapter, scale in scaling.items()})
        try:
            yield
        finally:
            module.scaling.update(scaling)
    else:
        raise UserError(f"{name} can be swapped but not blended (weight {weight}): only plain LoRA has a strength")


@contextmanager
def _parameters_at(pair: Pair, base: PreTrainedModel, weights: Sequence[float]) -> Iterator[None]:
    """The tuned model with the base's parameters, or blends, in its places for them; a shared one has two places."""
    tuned = inner_model(pair.tuned)
    others = dict(base.named_modules(remove_duplicate=False))
    with ExitStack() as undo:
        for path, module in tuned.named_modules(remove_duplicate=False):
            for name, parameter in list(module._parameters.items()):
                weight = weight_of(pair, path, weights)
                if parameter is None or weight == 1:
                    continue
                other = others[path].get_parameter(name)
                if weight != 0:
                    mix = torch.lerp(other.detach().to(parameter.dtype), parameter.detach(), weight)
                    other = nn.Parameter(mix, requires_grad=False)
                undo.callback(_setter(module, name), parameter)
                module._parameters[name] = other
        yield


def _setter(module: nn.Module, name: str) -> Callable[[nn.Parameter], None]:
    return lambda parameter: module._parameters.__setitem__(name, parameter)
