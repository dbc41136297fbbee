"""Where the frozen blocks end, what forbids to skip them, and how their stored output takes their place."""

from collections.abc import Callable
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.models.files.quantized import outlier_threshold
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of, under


def frozen_blocks(model: PreTrainedModel | PeftModel) -> int:
    """How many blocks lie below the first one that learns; all of them if none learns."""
    blocks = blocks_of(inner_model(model))
    learns = [any(p.requires_grad for p in block.parameters()) for block in blocks]
    return learns.index(True) if True in learns else len(blocks)


def obstacle(model: PreTrainedModel | PeftModel, frozen: int) -> str | None:
    """Why the output of the first ``frozen`` blocks may not be computed once and reused; None if it may."""
    inner = inner_model(model)
    config = inner.config.get_text_config(decoder=True)
    if frozen == 0:
        return "the first block learns, so there is nothing below it to store"
    if frozen == len(blocks_of(inner)):
        return "no block learns"
    if threshold := outlier_threshold(inner.config):
        return (
            f"its weights are in 8 bits with llm_int8_threshold {threshold:g}, and states depend on the rest of the "
            "batch; set it to 0.0"
        )
    if getattr(config, "hidden_size_per_layer_input", 0):
        return f"{inner.config.model_type} feeds token embeddings into every block"
    if getattr(config, "num_kv_shared_layers", 0):
        return f"blocks of {inner.config.model_type} share keys and values"
    if reason := layout_of(inner).aside:
        return reason
    below = below_the_cut(inner, frozen)
    if adapted := [name for name, module in below if isinstance(module, BaseTunerLayer)]:
        return f"{adapted[0]} has an adapter, below the first block that learns"
    if learning := [name for name, parameter in parameters_of(below).items() if parameter.requires_grad]:
        return f"{learning[0]} learns, below the first block that does"
    for name, module in below:
        if module.training and (rate := dropout_of(module)):
            return f"{name or type(module).__name__} drops out at random ({rate}); call model.eval()"
    return None


def below_the_cut(inner: PreTrainedModel, frozen: int) -> list[tuple[str, nn.Module]]:
    """(name, module) of everything that the first ``frozen`` blocks' output depends on, in the model's order."""
    above = layout_of(inner).above(frozen)
    return [(name, module) for name, module in inner.named_modules() if not under(name, above)]


def parameters_of(modules: list[tuple[str, nn.Module]]) -> dict[str, nn.Parameter]:
    """The modules' own parameters by their whole names, a shared one once."""
    found: dict[nn.Parameter, str] = {}
    for path, module in modules:
        for part, parameter in module.named_parameters(recurse=False):
            found.setdefault(parameter, f"{path}.{part}")
    return {name: parameter for parameter, name in found.items()}


def buffers_of(modules: list[tuple[str, nn.Module]]) -> dict[str, Tensor]:
    """The modules' own buffers by their whole names: phases of rotary positions, scales, masks."""
    return {f"{path}.{part}": buffer for path, one in modules for part, buffer in one.named_buffers(recurse=False)}


def dropout_of(module: nn.Module) -> float:
    """The largest dropout rate among a module's own settings, 0 if it has none."""
    names = [name for name in vars(module) if "drop" in name]
    if isinstance(module, nn.Dropout):
        names.append("p")
    rates = [getattr(module, name) for name in names]
    return max((float(rate) for rate in rates if isinstance(rate, (int, float))), default=0.0)


class Bypass:
    """Gives ``hidden`` as the output of the first ``blocks`` blocks while it is set; they compute nothing then.

    The model stays whole: its own code still makes position embeddings, rotary phases and masks for the
    blocks that follow, and the names of its parameters stay as they are.
    """

    def __init__(self, model: PreTrainedModel | PeftModel, blocks: int) -> None:
        inner = self.model = inner_model(model)
        self.layout = layout_of(inner)
        self.hidden: Tensor | None = None
        """float[batch, length, ...], or None to compute."""
        self.blocks = blocks
        self.patched: list[tuple[Any, Any]] = []
        for index, block in enumerate(blocks_of(inner)[:blocks]):
            self._patch(block, self._block(index, block.forward))
        embedding: Any = inner.get_submodule(self.layout.embedding)
        self._patch(embedding, self._embedding(embedding, embedding.forward))

    def _patch(self, module: Any, forward: Callable[..., Any]) -> None:
        self.patched.append((module, vars(module).get("forward")))
        module.forward = forward

    def remove(self) -> None:
        """Leave the model as it was."""
        for module, own in self.patched:
            if own is None:
                vars(module).pop("forward", None)
            else:
                module.forward = own
        self.patched = []

    def _block(self, index: int, compute: Callable[..., Any]) -> Callable[..., Any]:
        def forward(*args: Any, **kwargs: Any) -> Any:
            if self.hidden is None or index >= self.blocks:
                return compute(*args, **kwargs)
            return self.layout.returned(index, self.hidden)

        return forward

    def _embedding(self, embedding: Any, compute: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        def forward(ids: Tensor) -> Tensor:
            if not embedding.weight.is_meta:
                return compute(ids)
            # let go of by streaming; its shape, type and device say how to make positions and masks, and who reads its
            # values, which nothing should, gets none
            blank = torch.full((), torch.nan, dtype=embedding.weight.dtype, device=ids.device)
            return blank.expand(*ids.shape, embedding.embedding_dim)

        return forward
