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
SIZES: list[tuple[float, str]] = [
    (
        VOCABULARY,
        "vocab_size vocab_size_per_layer_input unpadded_vocab_size audio_vocab_size shape_vocab_size "
        "pronunciation_vocab_size num_embeds",
    ),
    (BLOCKS, "num_hidden_layers n_layer n_layers num_layers decoder_layers num_blocks num_decoder_layers"),
    (
        2,
        "encoder_layers num_encoder_layers num_key_value_heads num_kv_heads num_experts_per_tok moe_topk depth "
        "vision_layers num_global_layers swa_num_key_value_heads num_attention_groups moe_top_k n_groups",
    ),
    (
        32,
        "hidden_size d_model n_embd word_embed_proj_dim embedding_size dim emb_dim embed_dim moe_intermediate_size "
        "shared_expert_intermediate_size dim_model out_hidden_size expert_ffn_hidden_size hidden_dim embedding_dim "
        "shared_experts_intermediate_size moe_shared_expert_intermediate_size shared_intermediate_size output_dim "
        "adapter_out_dim text_hidden_size projector_hidden_size encoder_hidden_size projection_dim input_embedding_size "
        "output_embedding_size pronunciation_embed_dim shape_embed_dim hidden_size_global lru_width "
        "downsample_hidden_size image_text_hidden_size decoder_hidden_size vision_output_dim share_expert_dim "
        "projection_hidden_size audio_hidden_size thinker_hidden_size image_token_embed_dim vision_hidden_size "
        "projector_input_dim projector_output_dim patch_embed_hidden_size base_channels latent_channels moe_hidden_size router_hidden_size",
    ),
    (
        64,
        "intermediate_size n_inner ffn_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size dff dim_ff d_ff mlp_dim "
        "max_position_embeddings n_positions n_ctx max_seq_len max_seq_length max_target_positions "
        "dense_intermediate_size intermediate_size_mlp feed_forward_size projection_intermediate_size d_inner "
        "alignment_intermediate_size max_source_positions mamba_d_ssm",
    ),
    (
        4,
        "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads num_experts "
        "num_local_experts n_routed_experts moe_num_experts rotary_dim index_topk index_n_heads mamba_n_heads "
        "mamba_num_heads linear_num_key_heads linear_num_value_heads linear_num_heads zero_expert_num "
        "swa_num_attention_heads num_sliding_attention_heads",
    ),
    (
        8,
        "head_dim v_head_dim qk_rope_head_dim qk_nope_head_dim dim_head linear_key_head_dim linear_value_head_dim "
        "linear_head_dim hidden_size_per_layer_input kv_channels d_kv d_head attention_head_size laurel_rank "
        "resampler_dim_head resampler_head_dim resampler_n_latents resampler_num_latents swa_head_dim "
        "latent_query_num",
    ),
    (1, "n_shared_experts n_group topk_group first_k_dense_replace"),
    (
        16,
        "kv_lora_rank q_lora_rank o_lora_rank sliding_window qk_head_dim index_head_dim mamba_d_head mamba_head_dim "
        "mamba_d_state state_size ssm_state_size chunk_size mamba_chunk_size block_size attention_chunk_size "
        "sliding_window_size attention_window_size local_attention_window_len local_attention rel_extent num_pos_feats "
        "mamba_dt_rank time_step_rank adapter_rank num_position_embeddings output_channels",
    ),
    (
        1.5,
        "logits_scaling embedding_multiplier lm_head_multiplier key_multiplier route_scale routed_scaling_factor "
        "router_scaling_factor moe_routed_scaling_factor moe_router_scaling_factor",
    ),
    (
        0.5,
        "residual_multiplier attention_multiplier attention_in_multiplier attention_out_multiplier "
        "ssm_in_multiplier ssm_out_multiplier",
    ),
]
"""The value that settings of such a name get; scales are among them, which many default configs leave at 1."""

SMALL = {name: size for size, names in SIZES for name in names.split()}
FILLED = {"num_experts_per_tok", "n_routed_experts", "n_shared_experts", "num_key_value_heads", "head_dim"}
"""Those that are needed also where the default is None."""

SPECIAL = {"pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 0}

ROPE = {"rope_type": "default", "rope_theta": 1e4}
LOCAL, GLOBAL = "sliding_attention", "full_attention"
INDEXER = {"indexer_n_heads": 4, "indexer_kv_heads": 1, "indexer_head_dim": 8, "indexer_budget": 4}
SWA = {
    f"swa_{name}": changed
    for name, changed in {
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "q_lora_rank": 16,
        "kv_lora_rank": 16,
        "head_dim": 16,
        "qk_nope_head_dim": 8,
        "v_head_dim": 8,
    }.items()
}

OVERRIDES: dict[str, dict[str, Any]] = {
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "chameleon": {"vocabulary_map": {"<image>": 256, **{f"IMGIMG{i}": i for i in range(8)}}},
    "cohere_compass_text": {
        "layer_types": [LOCAL] * 3 + [GLOBAL],
        "logit_scale": 0.5,
        "rope_parameters": {name: {**ROPE, "mrope_section": [2, 1, 1]} for name in (LOCAL, GLOBAL)},
    },
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4}, "ffn_config": {"moe_top_k": 2}},
    "dots3_note_text": SWA,
    "dots3_note_vision_encoder": {"adapter_in_dim": 32, "pyramid_num_routed": [-1, -1, 4, 4]},
    "dots3_note_audio_encoder": {"adapter_input_size": 32},
    "gemma3n_text": {"num_kv_shared_layers": 2, "layer_types": [LOCAL, GLOBAL] * 2},
    "lfm2_moe": {"layer_types": ["conv", "conv", GLOBAL, "conv"], "num_dense_layers": 1},
    "mamba2": {"head_dim": 16},
    "qwen4_exp_text": {**INDEXER, "indexer_compress_ratio": 2},
    "reformer": {"axial_pos_shape": [8, 8], "axial_pos_embds_dim": [16, 16]},
    "xmod": {"default_language": "en_XX"},
    "zamba": {
        "num_key_value_heads": 4,
        "attention_head_dim": 16,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
    },
    "zamba2": {
        "attention_head_dim": 16,
        "num_key_value_heads": 4,
        "layers_block_type": ["linear_attention", "hybrid"] * 2,
    },
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 8}},
    "glm5_next_text": {"qk_rope_head_dim": 0, "head_dim": 0, "index_kpool": 2},
    "paddleocr_vl_text": {"rope_parameters": {**ROPE, "mrope_section": [2, 1, 1]}},
    "zaya": {"num_experts_per_tok": 1, "layer_types": ["hybrid", "hybrid_sliding"] * 2, "sliding_window": 16},
}
"""What a type, or a part of such a type, needs beside them: sizes that depend on each other, kinds of blocks."""

UNBUILT: dict[str, str] = {}
"""Types left out, and why."""


def shrunk(config: PreTrainedConfig) -> dict[str, Any]:
    """The settings of a config that make it small, in its parts, too."""
    own, settings, alias = vars(config), type(config).__dataclass_fields__, config.attribute_map
    changes: dict[str, Any] = {}
    for name, size in SMALL.items():
        found, key = own.get(alias.get(name, name)), name if name in settings else alias.get(name, name)
        if isinstance(found, list | tuple):
            changes[key] = [size] * len(found)
        elif found is not None or (key in own and name in FILLED):
            changes[key] = size
    changes |= {name: 0 for name in SPECIAL if own.get(name) is not None}
    if not config.is_encoder_decoder and "is_decoder" in own:
        changes["is_decoder"] = True
    if {"kv_lora_rank", "num_key_value_heads"} <= changes.keys():
        changes["num_key_value_heads"] = changes["num_attention_heads"]
    changes |= layers(config, changes)
    if "mrope_section" in getattr(config, "ignore_keys_at_rope_validation", ()):
        rope = {"rope_type": "default", "rope_theta": 1e4, **(own.get("rope_parameters") or {})}
        half = int(changes.get("head_dim", 8) * rope.get("partial_rotary_factor", 1)) // 2
        changes["rope_parameters"] = {**rope, "mrope_section": [half - 2 * (half // 3), half // 3, half // 3]}
    for name, kind in config.sub_configs.items():
        if isinstance(part := own.get(name), PreTrainedConfig):
            changes[name] = merged(shrunk(part), OVERRIDES.get(part.model_type, {}))
            if "AutoConfig" in str(kind):
                changes[name]["model_type"] = part.model_type
    return changes


def layers(config: PreTrainedConfig, changes: dict[str, Any]) -> dict[str, Any]:
    """Lists with an entry per layer, such as layer_types: as many as there are blocks, with every kind they have."""
    count = getattr(config, "num_hidden_layers", 0)
    lists = {
        name: changes.get(name, found)
        for name, found in vars(config).items()
        if isinstance(found, list | tuple) and len(found) == count > 0 and list(found) != list(range(count))
    }
    kept: list[int] = []
    while len(kept) < min(count, BLOCKS):
        seen = {(name, str(found[i])) for name, found in lists.items() for i in kept}
        fresh = [sum((name, str(found[i])) not in seen for name, found in lists.items()) for i in range(count)]
        kept.append(max(set(range(count)) - {*kept}, key=lambda i: (fresh[i], -i)))
    return {name: [found[i] for i in sorted(kept)] for name, found in lists.items()}


def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Both, the other's where both have a setting; the settings of parts are merged, too."""
    parts = {name: merged(one.get(name, {}), part) for name, part in other.items() if name.endswith("_config")}
    return {**one, **other, **parts}


def tiny_config(kind: str) -> PreTrainedConfig:
    """The config of a tiny model."""
    default = CONFIG_MAPPING[kind]
    return default(**merged({**SPECIAL, **shrunk(default())}, OVERRIDES.get(kind, {})))


def build(kind: str, seed: int = 0) -> PreTrainedModel:
    """The model in fp32, for evaluation. Weights that start as zeros or ones are moved: they would hide mistakes."""
    config = tiny_config(kind)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = model_class(config).from_config(config)
        for parameter in model.parameters():
            if parameter.dim() < 2 and parameter.is_floating_point():
                parameter.data += 0.1 * torch.randn_like(parameter)
    return model.eval()
