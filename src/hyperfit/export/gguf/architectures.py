"""Which models a GGUF file can hold here, and their sizes and weights as llama.cpp has them."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import Tensor
from transformers import PreTrainedModel

if TYPE_CHECKING:
    from gguf import GGUFWriter


@dataclass(frozen=True)
class Architecture:
    """How llama.cpp has a family of models."""

    name: str
    """In ``general.architecture``."""
    interleaved: bool
    """Whether the two numbers that a rotary embedding turns together lie side by side in queries and keys, not half a
    head apart as transformers has them."""


LLAMA = Architecture("llama", interleaved=True)
ARCHITECTURES = {
    "llama": LLAMA,
    "mistral": LLAMA,
    "qwen2": Architecture("qwen2", interleaved=False),
    "qwen3": Architecture("qwen3", interleaved=False),
}
"""By ``model_type`` of transformers: those whose weights llama.cpp takes as they are, but for the order of rows."""


def hindrances(config: Any) -> list[str]:
    """Why a model of this config cannot be written as GGUF, with what would do; empty if it can."""
    kind = config.model_type
    if kind not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        return [f"is of type {kind!r}, and only {known} are written as GGUF here; leave --gguf out, and convert the "
                "merged weights with llama.cpp's convert_hf_to_gguf.py"]  # fmt: skip
    rope = getattr(config, "rope_parameters", None) or {}
    window = getattr(config, "sliding_window", None)
    windowed = window is not None and getattr(config, "use_sliding_window", True)
    found = {
        f"scales its positions ({rope.get('rope_type')})": rope.get("rope_type", "default") != "default",
        "turns only a part of each head (partial_rotary_factor)": rope.get("partial_rotary_factor", 1.0) != 1.0,
        f"attends to the last {window} tokens alone": windowed and window < config.max_position_embeddings,
        f"has the activation {config.hidden_act}, not silu": config.hidden_act != "silu",
        "has biases in its attention": kind != "qwen2" and getattr(config, "attention_bias", False),
        "has biases in its feed-forward layers": getattr(config, "mlp_bias", False),
    }
    return [
        f"{what}, which is not written as GGUF here; leave --gguf out" for what, present in found.items() if present
    ]


def add_sizes(writer: "GGUFWriter", config: Any) -> None:
    """What a llama.cpp model of the config is made of, as metadata of the file."""
    heads = config.num_attention_heads
    head = getattr(config, "head_dim", None) or config.hidden_size // heads
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(getattr(config, "num_key_value_heads", None) or heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def weights(model: PreTrainedModel) -> Iterator[tuple[str, Tensor]]:
    """(llama.cpp's name, values as llama.cpp has them) of each weight, a tied head left out.

    Raises KeyError for a weight for which llama.cpp has no name.
    """
    from gguf import MODEL_ARCH, get_tensor_name_map

    config: Any = model.config
    architecture = ARCHITECTURES[config.model_type]
    kind = next(arch for arch in MODEL_ARCH if arch.name.lower() == architecture.name)
    names = get_tensor_name_map(kind, config.num_hidden_layers)
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set[str]()
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    for name, values in model.state_dict().items():
        if name in tied:
            continue
        layer = name.split(".")[-2]
        if architecture.interleaved and layer in heads:
            values = interleaved(values, heads[layer])
        written = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if written is None:
            raise KeyError(name)
        yield written, values


def interleaved(values: Tensor, heads: int) -> Tensor:
    """[heads x size, ...] with row i of the second half of each head behind row i of its first half."""
    halves = values.reshape(heads, 2, -1, *values.shape[1:])
    return halves.transpose(1, 2).reshape(values.shape)
