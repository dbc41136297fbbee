"""A tiny random model of every type of causal or multimodal LM of transformers, built from its own default config."""

from typing import Any

import torch
from transformers import CONFIG_MAPPING, PreTrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

from hyperfit.models.files.classes import model_class

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
        "encoder_layers num_encoder_layers num_key_value_heads num_kv_heads num_experts_per_tok moe_topk "
        "depth num_global_layers swa_num_key_value_heads moe_top_k n_groups",
    ),
    (
        32,
        "hidden_size d_model n_embd word_embed_proj_dim embedding_size emb_dim embed_dim "
        "moe_intermediate_size shared_expert_intermediate_size out_hidden_size expert_ffn_hidden_size "
        "hidden_dim embedding_dim shared_experts_intermediate_size moe_shared_expert_intermediate_size "
        "shared_intermediate_size output_dim adapter_out_dim text_hidden_size projector_hidden_size "
        "encoder_hidden_size projection_dim input_embedding_size output_embedding_size "
        "pronunciation_embed_dim shape_embed_dim hidden_size_global lru_width downsample_hidden_size "
        "image_text_hidden_size decoder_hidden_size vision_output_dim share_expert_dim projection_hidden_size "
        "audio_hidden_size thinker_hidden_size image_token_embed_dim vision_hidden_size projector_input_dim "
        "projector_output_dim patch_embed_hidden_size upsample_groups base_channels latent_channels "
        "moe_hidden_size router_hidden_size",
    ),
    (
        64,
        "intermediate_size ffn_dim decoder_ffn_dim encoder_ffn_dim ffn_hidden_size dff dim_ff d_ff mlp_dim "
        "dense_intermediate_size intermediate_size_mlp feed_forward_size projection_intermediate_size d_inner "
        "alignment_intermediate_size mamba_d_ssm",
    ),
    (
        4,
        "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads "
        "num_experts num_local_experts n_routed_experts moe_num_experts rotary_dim index_topk "
        "mamba_n_heads mamba_num_heads linear_num_key_heads linear_num_value_heads linear_num_heads "
        "zero_expert_num swa_num_attention_heads num_sliding_attention_heads",
    ),
    (
        8,
        "head_dim v_head_dim qk_rope_head_dim qk_nope_head_dim dim_head linear_key_head_dim "
        "linear_value_head_dim linear_head_dim hidden_size_per_layer_input kv_channels d_kv d_head "
        "attention_head_size laurel_rank resampler_dim_head resampler_head_dim resampler_n_latents "
        "resampler_num_latents swa_head_dim latent_query_num",
    ),
    (80, "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions max_source_positions"),
    (1, "n_shared_experts n_group topk_group first_k_dense_replace"),
    (
        16,
        "index_n_heads kv_lora_rank q_lora_rank o_lora_rank sliding_window qk_head_dim index_head_dim mamba_d_head "
        "mamba_head_dim mamba_d_state state_size ssm_state_size chunk_size mamba_chunk_size block_size "
        "attention_chunk_size sliding_window_size attention_window_size local_attention_window_len "
        "local_attention rel_extent num_pos_feats mamba_dt_rank time_step_rank adapter_rank "
        "num_position_embeddings output_channels",
    ),
    (
        1.5,
        "logits_scaling embedding_multiplier lm_head_multiplier key_multiplier route_scale "
        "routed_scaling_factor full_attn_alpha_factor linear_attn_alpha_factor mlp_alpha_factor "
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
LINEAR, LOCAL, GLOBAL = "linear_attention", "sliding_attention", "full_attention"
MOE = ["dense"] + ["sparse"] * 3
VQ = {"num_embeddings": 64, "channel_multiplier": [1, 1], "num_res_blocks": 1}

OVERRIDES: dict[str, dict[str, Any]] = {
    "afmoe": {"mup_enabled": True},
    "bamba": {"attn_layer_indices": [1, 3]},
    "blt": {"encoder_hash_byte_group_vocab": 64},
    "chameleon": {"vq_config": VQ, "vocabulary_map": {"<image>": 254, "IMGIMGA": 255, "IMGIMGB": 256}},
    "cohere2_moe": {"mlp_layer_types": MOE, "prefix_dense_intermediate_size": 64},
    "cohere_compass_text": {
        "layer_types": [LOCAL] * 3 + [GLOBAL],
        "logit_scale": 0.5,
        "rope_parameters": {name: {**ROPE, "mrope_section": [2, 1, 1]} for name in (LOCAL, GLOBAL)},
    },
    "dbrx": {"attn_config": {"kv_n_heads": 2, "clip_qkv": 8, "rope_theta": 1e4}, "ffn_config": {"moe_top_k": 2}},
    "deepseek_ocr2_sam_vision_model": {"global_attn_indexes": [1, 3], "downsample_channels": [32, 32]},
    "deepseek_ocr2_text": {"mlp_layer_types": MOE},
    "diffusion_gemma_text": {"global_head_dim": 16, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32},
    "dots3_note_audio_encoder": {"adapter_input_size": 32},
    "dots3_note_text": {
        "swa_num_attention_heads": 4,
        "swa_num_key_value_heads": 4,
        "swa_q_lora_rank": 16,
        "swa_kv_lora_rank": 16,
        "swa_head_dim": 16,
        "swa_qk_nope_head_dim": 8,
        "swa_v_head_dim": 8,
    },
    "dots3_note_vision_encoder": {"adapter_in_dim": 32, "pyramid_num_routed": [-1, -1, 4, 4]},
    "ernie4_5_vl_moe_text": {"rope_parameters": {**ROPE, "mrope_section": [1, 1, 2]}},
    "falcon_h1": {"mlp_multipliers": [0.5, 1.5], "ssm_multipliers": [0.5, 1.5, 0.5, 1.5, 0.5]},
    "fun_asr_nano": {"adaptor_config": {"intermediate_size": 8}},
    "gemma3n_text": {"num_kv_shared_layers": 2, "layer_types": [LOCAL, GLOBAL] * 2},
    "gemma4": {
        "text_config": {"enable_moe_block": True, "num_experts": 4, "top_k_experts": 2, "moe_intermediate_size": 32}
    },
    "gemma4_text": {"global_head_dim": 16, "final_logit_softcapping": 30.0},
    "gemma4_unified_text": {"global_head_dim": 16, "final_logit_softcapping": 30.0},
    "glm5_next_text": {"qk_rope_head_dim": 0, "head_dim": 0, "index_kpool": 2},
    "granite4_vision": {
        "deepstack_layer_map": [[-1, 0], [-2, 2]],
        "downsample_rate": "4/8",
        "vision_config": {"hidden_size": 64, "image_size": 64, "patch_size": 8},
    },
    "granitemoehybrid": {"layer_types": [LINEAR, LINEAR, GLOBAL, LINEAR]},
    "inkling_audio": {"n_mel_bins": 8},
    "inkling_text": {"mlp_layer_types": MOE},
    "inkling_vision": {"patch_size": 4},
    "jamba": {"attn_layer_period": 4, "attn_layer_offset": 2},
    "janus": {"vq_config": VQ},
    "kyutai_speech_to_text": {"codebook_vocab_size": 17, "audio_pad_token_id": 801},
    "laguna": {"layer_types": [GLOBAL, LOCAL] * 2, "num_attention_heads_per_layer": [4, 8] * 2},
    "lfm2": {"layer_types": ["conv", "conv", GLOBAL, "conv"]},
    "lfm2_moe": {"layer_types": ["conv", "conv", GLOBAL, "conv"], "num_dense_layers": 1},
    "mamba2": {"head_dim": 16},
    "mellum": {"layer_types": [LOCAL] * 3 + [GLOBAL]},
    "mimi": {"num_filters": 4, "codebook_size": 32, "codebook_dim": 16, "vector_quantization_hidden_dimension": 16},
    "minimax_m3_vl_text": {
        "layer_types": [GLOBAL, GLOBAL] + ["minimax_m3_sparse"] * 2,
        "mlp_layer_types": MOE,
        "index_n_heads": 4,
        "index_block_size": 8,
        "index_topk_blocks": 2,
    },
    "ministral": {"layer_types": [LOCAL] * 3 + [GLOBAL]},
    "mistral4": {"head_dim": 16},
    "molmo2_adapter": {"vision_feature_layer": [3, 1]},
    "muse_spark_audio": {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4},
    "nemotron3_5_transcribe_word_timestamp": {"blank_token_id": 256},
    "nemotron_h_omni": {"vision_config": {"video_temporal_patch_size": 2}},
    "paddleocr_vl_text": {"rope_parameters": {**ROPE, "mrope_section": [2, 1, 1]}},
    "phi4_multimodal_audio": {
        "ext_pw_out_channel": 32,
        "depthwise_separable_out_channel": 32,
        "nemo_conv_channels": 32,
    },
    "pp_formulanet_vision": {"post_conv_in_channels": 16, "post_conv_mid_channels": 32, "post_conv_out_channels": 32},
    "qwen2_5_omni": {"enable_audio_output": False},
    "qwen3_omni_moe": {"enable_audio_output": False},
    "qwen4_exp_text": {
        "indexer_n_heads": 4,
        "indexer_kv_heads": 1,
        "indexer_head_dim": 8,
        "indexer_budget": 4,
        "indexer_compress_ratio": 2,
    },
    "reformer": {"axial_pos_shape": [8, 10], "axial_pos_embds_dim": [16, 16]},
    "step3p5": {
        "sliding_window": 16,
        "num_sliding_attention_heads": 8,
        "layer_types": [GLOBAL, LOCAL] * 2,
        "mlp_layer_types": ["dense", "dense", "sparse", "sparse"],
    },
    "unlimited_ocr_sam_vision_model": {"downsample_channels": [32, 32]},
    "vibevoice_acoustic_tokenizer_encoder": {"num_filters": 2, "depths": [1] * 7},
    "xlm": {"causal": True},
    "xlnet": {"attn_type": "uni"},
    "xmod": {"default_language": "en_XX"},
    "zamba": {"num_key_value_heads": 4, "attention_head_dim": 16, "layers_block_type": [LINEAR, "hybrid"] * 2},
    "zamba2": {"num_key_value_heads": 4, "attention_head_dim": 16, "layers_block_type": [LINEAR, "hybrid"] * 2},
    "zaya": {"num_experts_per_tok": 1, "layer_types": ["hybrid", "hybrid_sliding"] * 2, "sliding_window": 16},
}
"""What a type, or a part of such a type, needs beside them: sizes that depend on each other, kinds of blocks."""

UNBUILT: dict[str, str] = {
    **dict.fromkeys(["fast_vlm", "gemma3n", "perception_lm"], "needs timm"),
    **dict.fromkeys(["musicgen", "musicgen_melody"], "its auto class does not take its config"),
    **dict.fromkeys(["gemma4_assistant", "gemma4_unified_assistant"], "reads keys and values of another model"),
    **dict.fromkeys(["qwen2_5_omni", "qwen3_omni_moe"], "has no forward pass: its thinker is a type of its own"),
    **dict.fromkeys(
        ["blip", "blip-2", "idefics", "instructblip", "instructblipvideo", "kosmos-2"],
        "does not read text alone: needs an image",
    ),
    "diffusion_gemma": "predicts a canvas of tokens, not the text's",
    "evolla": "transformers has no auto class that takes its config",
    "kyutai_speech_to_text": "does not read text alone: needs the codes of a sound with each token",
    "pi0": "does not read text alone: needs a robot's state",
    **dict.fromkeys(
        ["pix2struct", "pp_formulanet", "t5gemma2", "udop", "vision-encoder-decoder"], "an encoder-decoder"
    ),
    "voxtral_realtime": "does not read text alone: needs audio",
}
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
        rope = {**ROPE, **(own.get("rope_parameters") or {})}
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
