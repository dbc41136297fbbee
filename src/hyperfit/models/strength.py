"""How much of what training changed is in force: a dial from the base model, 0, over the trained one, 1, and beyond."""

from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from peft.tuners.tuners_utils import BaseTunerLayer
from transformers import PreTrainedModel

from hyperfit.errors import UserError


def scale_change(
    model: PreTrainedModel | PeftModel, strength: float, base: Callable[[], PreTrainedModel | None]
) -> None:
    """Multiply what training changed by ``strength``, in place: every weight W becomes W₀ + strength (W − W₀).

    An adapter's scale is multiplied, which is the same. base: the model before training, asked for where there is no
    adapter; None if it is not known. Nothing is touched at 1. Raises UserError where there is no change to scale, or
    where it cannot be scaled.
    """
    if strength == 1:
        return
    if isinstance(model, PeftModel):
        scale_adapters(model, strength)
        return
    before = base()
    if before is None:
        raise UserError("--strength: scales what training changed, and this model is neither a run nor an adapter")
    with torch.no_grad():
        for (name, weight), (other, origin) in zip(model.named_parameters(), before.named_parameters(), strict=True):
            assert name == other
            weight.copy_(torch.lerp(origin.to(weight), weight, strength))


def scale_adapters(model: PeftModel, strength: float) -> None:
    """The same of LoRA. Raises UserError, touching nothing, for other adapters than plain LoRA on layers."""
    layers: list[tuple[str, Any]] = [
        (name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)
    ]
    for name, layer in layers:
        if not isinstance(layer, LoraLayer) or layer.lora_variant:
            raise UserError(f"--strength: the adapter of {name} is no plain LoRA, and has no scale")
    for _, layer in layers:
        layer.scaling.update({adapter: scale * strength for adapter, scale in layer.scaling.items()})
