"""A tiny random model of every causal LM type of the installed transformers, built from its own default config."""

from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

from hyperfit.models.classes import model_class

CAUSAL = sorted(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)
MULTIMODAL = sorted({*MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES, *MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES} - {*CAUSAL})

VOCABULARY = 257
BLOCKS = 4
SIZES: dict[int | tuple[int, ...], str] = {
    VOCABULARY: "vocab_size",
    BLOCKS: "num_hidden_layers n_layer n_layers num_layers decoder_layers num_blocks num_decoder_layers",
    2: "encoder_layers num_encoder_layers num_key_value_heads num_experts_per_tok moe_topk depth vision_layers",
    32: "hidden_size d_model n_embd word_embed_proj_dim embedding_size dim emb_dim embed_dim moe_intermediate_size "
    "shared_expert_intermediate_size dim_model out_hidden_size expert_ffn_hidden_size",
    64: "intermediate_size n_inner ffn_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size dff dim_ff "
    "max_position_embeddings n_positions n_ctx max_seq_len max_seq_length max_target_positions dense_intermediate_size",
    4: "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads num_experts "
    "num_local_experts n_routed_experts moe_num_experts qk_rope_head_dim qk_nope_head_dim rotary_dim",
    8: "head_dim v_head_dim qk_head_dim dim_head",
    1: "n_shared_experts n_group topk_group first_k_dense_replace",
    16: "kv_lora_rank q_lora_rank sliding_window",
}
SMALL = {name: size for size, names in SIZES.items() for name in names.split()}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}

OVERRIDES: dict[str, dict[str, Any]] = {}
"""What a type needs beside them, because its sizes depend on each other."""


def shrunk(config: PreTrainedConfig) -> dict[str, Any]:
    """The settings of a config with every size that has one of the names above made small, in its parts, too."""
    changes = {
        name: size for name, size in SMALL.items() if getattr(config, name, None) is not None and settable(config, name)
    }
    for name, kind in config.sub_configs.items():
        part = getattr(config, name, None)
        if isinstance(part, PreTrainedConfig):
            changes[name] = {**shrunk(part), **OVERRIDES.get(part.model_type, {})}
            if "AutoConfig" in str(kind):
                changes[name]["model_type"] = part.model_type
    return changes


def settable(config: PreTrainedConfig, name: str) -> bool:
    """Whether it is a setting, and not computed from others."""
    found = getattr(type(config), name, None)
    return not isinstance(found, property) or found.fset is not None


def tiny_config(kind: str) -> PreTrainedConfig:
    """The config of a tiny model."""
    default = CONFIG_MAPPING[kind]
    return default(**{**SPECIAL, **shrunk(default()), **OVERRIDES.get(kind, {})})


def build(kind: str, seed: int = 0) -> PreTrainedModel:
    """The model in fp32 and evaluation mode; weights that start as zeros or ones are moved, as they hide mistakes."""
    config = tiny_config(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = model_class(config).from_config(config)
        for parameter in model.parameters():
            if parameter.dim() < 2 and parameter.is_floating_point():
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()
