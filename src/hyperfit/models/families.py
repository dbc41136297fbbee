"""Where a family of models keeps blocks, norm, head and embeddings."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError


@dataclass(frozen=True)
class Family:
    """Module paths inside a causal LM of one architecture."""

    blocks: str
    """The ModuleList of transformer blocks."""
    norm: str
    """The norm between the last block and the head."""
    head: str
    """The unembedding."""
    embedding: str
    """The token embedding."""
    tuple_output: bool = False
    """Whether a block returns its hidden states as the first of a tuple."""


_LLAMA = Family("model.layers", "model.norm", "lm_head", "model.embed_tokens")
FAMILIES: dict[str, Family] = {
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
    "qwen3": _LLAMA,
    "gemma": _LLAMA,
    "gemma2": _LLAMA,
    "gemma3_text": _LLAMA,
    "olmo2": _LLAMA,
    "phi3": _LLAMA,
    "phi": Family("model.layers", "model.final_layernorm", "lm_head", "model.embed_tokens"),
    "gpt2": Family("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte"),
    "gpt_neox": Family("gpt_neox.layers", "gpt_neox.final_layer_norm", "lm_head", "gpt_neox.embed_in"),
    "opt": Family("model.decoder.layers", "model.decoder.final_layer_norm", "lm_head", "model.decoder.embed_tokens"),
}
"""By ``config.model_type``. A family is one line here; tests/tiny_models.py builds a tiny random model of each."""
IMAGE_FAMILIES: dict[str, Family] = {
    "imagegpt": Family("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte", tuple_output=True),
}
"""The same for autoregressive models of images: their parts are known, but the commands read text."""


def family_of(model_type: str) -> Family:
    """The family's module paths. Raises UserError with the whole table for an unknown one."""
    if model_type in FAMILIES:
        return FAMILIES[model_type]
    if model_type in IMAGE_FAMILIES:
        return IMAGE_FAMILIES[model_type]
    raise unknown(model_type)


def unknown(model_type: str) -> UserError:
    """What to say of a model that cannot be used."""
    rows = "\n".join(f"  {name:12} blocks {family.blocks}, norm {family.norm}" for name, family in FAMILIES.items())
    return UserError(
        f"model family {model_type!r} is not known; use a model of one of these, or add a line to FAMILIES in "
        f"hyperfit/models/families.py:\n{rows}"
    )


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """The model's transformer blocks, first to last. Raises UserError for an unknown family."""
    blocks = model.get_submodule(family_of(model.config.model_type).blocks)
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def body_of(model: PreTrainedModel) -> nn.Module:
    """The module that runs the blocks one after the other: embedding, blocks and final norm, without the head."""
    return model.get_submodule(family_of(model.config.model_type).blocks.rpartition(".")[0])


def inner_model(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The causal LM itself, without PEFT's wrapping; adapters inside its blocks stay where they are."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, PreTrainedModel)
    return inner


def head_of(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """From the last hidden states (after the final norm) to logits, as the model's own forward pass does it."""
    head = model.get_submodule(family_of(model.config.model_type).head)
    cap = getattr(model.config, "final_logit_softcapping", None)

    def logits(hidden: Tensor) -> Tensor:
        raw: Tensor = head(hidden)
        return raw if cap is None else torch.tanh(raw / cap) * cap

    return logits


def positions_of(config: Any) -> int | None:
    """The longest sequence the model has positions for; None if its config names no limit."""
    limit = getattr(config, "max_position_embeddings", None)
    return int(limit) if limit else None
