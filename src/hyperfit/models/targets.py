"""Which weights get adapters, and the PEFT config that reaches these and no others."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import peft
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from peft.tuners.lora import LoraLayer
from peft.tuners.lora.layer import ParamWrapper
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from hyperfit.errors import UserError
from hyperfit.models.loading import quiet
from hyperfit.models.structure.layout import blocks_of, layout_of, without_weights


def lora_config(
    model: PreTrainedModel, blocks: Sequence[int], *, rank: int, alpha: float | None, target_modules: tuple[str, ...]
) -> LoraConfig:
    """A PEFT LoraConfig for the linear layers of the given blocks, and for experts that are held as one tensor.

    Layers are named and blocks numbered, which every program that loads adapters understands. Where PEFT would make
    something else of that (some families' layers are experts to it, in all blocks), each layer is named by its path,
    or else its weight is. The config is tried on a copy of the model without weights. Raises UserError if none of the
    three reaches what it should, and for layers that the model does not have.
    """
    present = linear_layers(model)
    if missing := [name for name in target_modules if name not in present]:
        raise UserError(f"--target-modules {' '.join(missing)}: the blocks' linear layers are {' '.join(present)}")
    settings: dict[str, Any] = {
        "task_type": "CAUSAL_LM",
        "r": rank,
        "lora_alpha": rank if alpha is None else alpha,  # PEFT divides it, a float is fine
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(isinstance(module, Conv1D) for module in blocks_of(model).modules()),
    }
    names = list(target_modules or present)
    layers = [path for path, name in layers_in(model, blocks) if name in names]
    weights = [f"{path}.weight" for path in layers]
    pattern = layout_of(model).blocks.rpartition(".")[2]
    numbered: dict[str, Any] = {"layers_to_transform": list(blocks), "layers_pattern": pattern}
    for experts in ([] if target_modules else experts_in(model, blocks), []):
        for config in (
            LoraConfig(**settings, target_modules=names, target_parameters=experts or None, **numbered),
            LoraConfig(**settings, target_modules=layers, target_parameters=experts or None),
            LoraConfig(**settings, target_modules=[], target_parameters=[*weights, *experts]),
        ):
            if reached(model, config) == {*weights, *experts}:
                return config
    raise UserError(
        f"{model.config.model_type}: PEFT {peft.__version__} does not put adapters on these layers, or does not find "
        "them again in their file; --method late-full or full trains it without adapters"
    )


def linear_layers(model: PreTrainedModel) -> list[str]:
    """Names of the linear layers inside the blocks, such as q_proj and down_proj, in the model's order."""
    return list(dict.fromkeys(name for _, name in layers_in(model, range(len(blocks_of(model))))))


def layers_in(model: PreTrainedModel, blocks: Sequence[int]) -> Iterator[tuple[str, str]]:
    """(path, name) of the linear layers in some blocks that adapters can be put on."""
    layout, kind = layout_of(model), model.config.model_type
    for index in blocks:
        for inside, module in blocks_of(model)[index].named_modules():
            path, name = f"{layout.blocks}.{index}.{inside}", inside.rpartition(".")[2]
            apart = path in layout.odd_calls or (kind in READ_DIRECTLY and name == "out_proj")
            if isinstance(module, (nn.Linear, Conv1D)) and not apart:
                yield path, name


READ_DIRECTLY = ("falcon_h1", "mamba", "mamba2", "falcon_mamba", "nemotron_h")
"""Families whose kernels read the weight of out_proj past the layer; PEFT refuses to adapt it."""


def experts_in(model: PreTrainedModel, blocks: Sequence[int]) -> list[str]:
    """Paths of the parameters in some blocks that hold one matrix for each of as many experts as the config names."""
    layout, found = layout_of(model), list[str]()
    settings = model.config.get_text_config(decoder=True).to_dict()
    counts = {value for name, value in settings.items() if "expert" in name and isinstance(value, int)}
    for index in blocks:
        root = f"{layout.blocks}.{index}"
        for path, module in blocks_of(model)[index].named_modules(prefix=root):
            if path not in layout.odd_calls:
                held = module.named_parameters(recurse=False)
                found += [f"{path}.{name}" for name, one in held if one.dim() == 3 and len(one) in counts]
    return found


def reached(model: PreTrainedModel, config: LoraConfig) -> set[str]:
    """Paths of the weights that get an adapter by a config; none if PEFT refuses it, or would lose it in its file."""
    empty = without_weights(model)
    try:
        with quiet():
            adapted = get_peft_model(empty, copy.deepcopy(config), low_cpu_mem_usage=True)
            again: Any = set_peft_model_state_dict(adapted, get_peft_model_state_dict(adapted), low_cpu_mem_usage=True)
    except ValueError:  # a layer's name is that of a module of another kind, too, as in reformer and zamba2
        return set()
    if again.unexpected_keys or any("lora_" in key for key in again.missing_keys):
        return set()
    return {
        f"{path.replace('.base_layer', '')}.{module.parameter_name if isinstance(module, ParamWrapper) else 'weight'}"
        for path, module in empty.named_modules()
        if isinstance(module, LoraLayer)
    }
