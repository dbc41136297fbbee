"""Models whose weights are quantized (bitsandbytes): they stay so, are read and do not learn."""

import math
from typing import Any

from torch import nn

USUAL_THRESHOLD = 6.0
"""Where a config of 8-bit weights names none."""


def is_quantized(config: Any) -> bool:
    """Whether a model's config says that its weights are quantized."""
    return getattr(config, "quantization_config", None) is not None


def scheme_of(config: Any) -> dict[str, Any]:
    """How a model's config says that its weights are quantized; empty if they are not."""
    found = getattr(config, "quantization_config", None)
    return {} if found is None else dict(found if isinstance(found, dict) else found.to_dict())


def outlier_threshold(config: Any) -> float:
    """Above which values 8-bit weights (LLM.int8) are multiplied apart, for all tokens together; 0: nowhere."""
    scheme = scheme_of(config)
    return float(scheme.get("llm_int8_threshold", USUAL_THRESHOLD)) if scheme.get("load_in_8bit") else 0.0


def let_gradients_through(model: nn.Module) -> None:
    """Keep 4-bit layers on a CPU from the form of their weights through which no gradient goes.

    bitsandbytes packs them anew, for inference, as soon as a layer in evaluation mode reads what has no gradient, on
    processors with AVX-512 bf16 (``Linear4bit.forward``); what is trained above such a layer then gets none, with a
    warning. Hyperfitting trains in evaluation mode, without dropout.
    """
    layers: list[Any] = [module for module in model.modules() if hasattr(module, "support_avx512bf16_for_cpu")]
    for layer in layers:
        layer.support_avx512bf16_for_cpu = False


def count_of(weights: nn.Parameter) -> int:
    """How many weights a tensor holds: of 4-bit ones more than it has elements."""
    state = getattr(weights, "quant_state", None)
    return weights.numel() if state is None else math.prod(state.shape)
