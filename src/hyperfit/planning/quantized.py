"""What quantized weights take: a rehearsal has plain ones in their place, and knows by how much they are larger."""

from collections.abc import Mapping
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D
from transformers.quantizers.base import HfQuantizer
from transformers.quantizers.quantizers_utils import should_convert_module

from hyperfit.errors import UserError
from hyperfit.models.files.quantized import scheme_of

BLOCK = 64
"""4-bit weights that share a scale."""
SCALES = 256
"""Scales of 4-bit weights that share one of their own, where these are quantized again."""
CODE, SCALES_CODE = 4 * 16, 4 * 256
"""Bytes of the tables of what 4-bit weights, and scales of 8 bits, stand for; one of each a layer."""


def check_counted(name: str, config: Any) -> None:
    """Raises UserError for quantized weights whose bytes are not known here."""
    scheme = scheme_of(config)
    if scheme and not (scheme.get("load_in_4bit") or scheme.get("load_in_8bit")):
        raise UserError(
            f"{name}: its weights are quantized by {scheme.get('quant_method', 'an unknown method')}, and what they "
            "take is known of bitsandbytes' 4 and 8 bits alone; train it for one epoch and see what its log tells"
        )


def quantized_layers(model: PreTrainedModel, config: Any) -> list[nn.Module]:
    """The layers of a plain model that are quantized by its config; none by a plain one's."""
    scheme = scheme_of(config)
    if not scheme:
        return []
    left = HfQuantizer.get_modules_to_not_convert(
        model, scheme.get("llm_int8_skip_modules"), list(model._keep_in_fp32_modules or [])
    )
    return [
        layer
        for name, layer in model.named_modules()
        if type(layer) in (nn.Linear, Conv1D) and should_convert_module(name, left)
    ]


def bytes_saved(model: PreTrainedModel, config: Any) -> tuple[int, int]:
    """(bytes that a plain model takes more than quantized, bytes of its largest matrix written out for a product)."""
    matrices: list[Any] = [layer.weight for layer in quantized_layers(model, config)]
    scheme = scheme_of(config)
    saved = sum(one.nbytes - bytes_of_matrix(one.shape, scheme) for one in matrices)
    return saved, max((one.nbytes for one in matrices), default=0)


def bytes_of_matrix(shape: tuple[int, int], scheme: Mapping[str, Any]) -> int:
    """Bytes of the weights of a linear layer, [out, in], with what else its numbers take: scales, tables.

    8 bits: a byte a weight, and a scale in fp32 for each output. 4 bits: half a byte, and a scale in fp32 for 64
    weights, or one of 8 bits where scales are quantized, too (``bnb_4bit_use_double_quant``).
    """
    out, count = shape[0], shape[0] * shape[1]
    if scheme.get("load_in_8bit"):
        return count + 4 * out
    weights, scales = -(-count // 2) + CODE, -(-count // BLOCK)
    if not scheme.get("bnb_4bit_use_double_quant"):
        return weights + 4 * scales
    return weights + scales + 4 * -(-scales // SCALES) + 4 + SCALES_CODE
