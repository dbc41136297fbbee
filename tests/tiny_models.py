"""Tiny random models of some families, and a tokenizer of single bytes for them."""

from pathlib import Path
from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import (
    CONFIG_MAPPING,
    AutoModelForCausalLM,
    ImageGPTConfig,
    ImageGPTForCausalImageModeling,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

torch.set_num_threads(1)  # models as small as these lose far more by waking threads than they gain

END_TEXT = "<|end|>"
END = 0
"""Its id: the end-of-text token, and the padding. The ids 1 to 256 are the bytes."""
VOCABULARY = 257
BLOCKS = 6
WIDTH = 32
POSITIONS = 64

SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": BLOCKS,
    "num_attention_heads": 4,
    "max_position_embeddings": POSITIONS,
    "bos_token_id": END,
    "eos_token_id": END,
    "pad_token_id": END,
}
SPREAD = 0.3
"""Standard deviation of the weights: large enough for logits that differ clearly and greedy text that wanders."""

GROUPED: dict[str, Any] = {"intermediate_size": 64, "num_key_value_heads": 2}
SLIDING: dict[str, Any] = {"sliding_window": 16}
"""Shorter than the texts of the tests, so that it matters."""

TINY: dict[str, dict[str, Any]] = {
    "llama": GROUPED,
    "mistral": {**GROUPED, **SLIDING},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 8},
    "gemma": {**GROUPED, "head_dim": 8},
    "gemma2": {**GROUPED, **SLIDING, "head_dim": 8},
    "gemma3_text": {**GROUPED, **SLIDING, "head_dim": 8},
    "olmo2": GROUPED,
    "phi3": GROUPED,
    "phi": {"intermediate_size": 64},
    "gpt2": {"n_inner": 64},
    "gpt_neox": {"intermediate_size": 64},
    "opt": {"ffn_dim": 64, "word_embed_proj_dim": WIDTH},
    "imagegpt": {"n_inner": 64, "vocab_size": VOCABULARY + 1},  # its start token is read, never predicted
}
"""What each family's config needs besides SIZES. Dropout, tied heads and the like stay as the family has them."""
FAMILIES = [family for family in TINY if family != "imagegpt"]
"""Those that read text."""


class Paths(NamedTuple):
    """Where a family keeps its parts, looked up by hand in its code."""

    blocks: str
    norm: str
    head: str
    embedding: str


LIKE_LLAMA = Paths("model.layers", "model.norm", "lm_head", "model.embed_tokens")
PATHS: dict[str, Paths] = dict.fromkeys(TINY, LIKE_LLAMA) | {
    "phi": Paths("model.layers", "model.final_layernorm", "lm_head", "model.embed_tokens"),
    "gpt2": Paths("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte"),
    "gpt_neox": Paths("gpt_neox.layers", "gpt_neox.final_layer_norm", "lm_head", "gpt_neox.embed_in"),
    "opt": Paths("model.decoder.layers", "model.decoder.final_layer_norm", "lm_head", "model.decoder.embed_tokens"),
    "imagegpt": Paths("transformer.h", "transformer.ln_f", "lm_head", "transformer.wte"),
}


def tiny_config(family: str, **changes: Any) -> PreTrainedConfig:
    """The config of a tiny model; ``changes`` go over everything else."""
    spread = {"init_std" if family == "opt" else "initializer_range": SPREAD}
    return CONFIG_MAPPING[family](**{**SIZES, **spread, **TINY.get(family, {}), **changes})


def tiny_model(family: str = "llama", *, seed: int = 0, **changes: Any) -> PreTrainedModel:
    """A random model in fp32 and evaluation mode, the same for the same seed; torch's generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = tiny_config(family, **changes)
        model: PreTrainedModel = (
            ImageGPTForCausalImageModeling(config)
            if isinstance(config, ImageGPTConfig)
            else AutoModelForCausalLM.from_config(config)
        )
    model.eval()
    return model


def cast(model: PreTrainedModel, dtype: torch.dtype) -> PreTrainedModel:
    """The model itself, its weights in ``dtype`` from now on."""
    module: nn.Module = model
    module.to(dtype)
    return model


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A token is a byte of the text's UTF-8; nothing is put in front."""
    bytes_as_letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([END_TEXT, *bytes_as_letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=END_TEXT, eos_token=END_TEXT, pad_token=END_TEXT
    )


def save_tiny(folder: Path, family: str = "llama", *, dtype: torch.dtype = torch.float32, **changes: Any) -> Path:
    """The folder, with a tiny model (safetensors) and its tokenizer in it."""
    cast(tiny_model(family, **changes), dtype).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def random_ids(*shape: int, seed: int = 0) -> torch.Tensor:
    """int64[shape]: random bytes, without the end-of-text token."""
    return torch.randint(END + 1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))
