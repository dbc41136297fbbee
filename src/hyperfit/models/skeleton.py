"""A causal LM without weights: parameters on the meta device, or places for them that hold nothing yet."""

from typing import Any

import torch
from accelerate import init_empty_weights
from torch import nn
from transformers import PreTrainedModel

from hyperfit.models.files.classes import model_class


def skeleton(config: Any, dtype: torch.dtype, device: torch.device) -> PreTrainedModel:
    """A causal LM without weights: parameters frozen and on the meta device, buffers on ``device``; evaluation mode."""
    with init_empty_weights(include_buffers=False):
        model: PreTrainedModel = model_class(config).from_config(config, dtype=dtype)
    for module in model.modules():
        for part, buffer in module.named_buffers(recurse=False):
            setattr(module, part, buffer.to(device))
    model.tie_weights()
    model.requires_grad_(False)
    model.eval()
    return model


def parameters_of(config: Any) -> int:
    """How many a config's causal LM has; none are made. Raises whatever transformers does at odd configs."""
    with torch.device("meta"):
        model: nn.Module = model_class(config).from_config(config)
    return sum(parameter.numel() for parameter in model.parameters())


def give_places(model: nn.Module) -> None:
    """Put a tensor of the CPU where the model has one on the meta device; shared ones stay shared.

    Its values are whatever lies there: it takes no memory until it is written.
    """
    made: dict[nn.Parameter, nn.Parameter] = {}
    for module in model.modules():
        for name, one in module.named_parameters(recurse=False):
            if one not in made:
                values = torch.empty(one.shape, dtype=one.dtype, device="cpu")
                made[one] = nn.Parameter(values, requires_grad=one.requires_grad)
            module.register_parameter(name, made[one])
