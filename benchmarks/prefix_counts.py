"""What counting operations allows: the least that each contestant of prefix_cache.py has to compute."""

from typing import Any

import torch
from prefix_contestants import LENGTH
from torch import nn
from transformers import AutoModelForCausalLM

from hyperfit.models.structure.layout import blocks_of


def counted(config: Any, rank: int, late: int) -> dict[str, float]:
    """Multiplications of each contestant's step over those of "cached", from the shapes alone.

    A token costs a pass through a matrix of p weights p multiplications forward and p backward for the gradient of its
    input; a frozen matrix has no third part, an adapter has, and under full training every matrix. Attention adds
    2 x length x width each way (half of it masked out, but computed), twice backward. Norms, activations, softmax and
    the optimiser are left out.
    """
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    block = blocks_of(model)[0]
    linear = [m for m in block.modules() if isinstance(m, nn.Linear)]
    frozen = sum(m.weight.numel() for m in linear)
    adapter = sum(rank * (m.in_features + m.out_features) for m in linear)
    heads = config.num_attention_heads * getattr(config, "head_dim", config.hidden_size // config.num_attention_heads)
    attention, head = 2 * LENGTH * heads, config.vocab_size * config.hidden_size
    depth = len(blocks_of(model))
    plain, adapted = frozen + attention, frozen + attention + adapter
    backward = frozen + 2 * attention + 2 * adapter
    cached = late * (adapted + backward) + 2 * head
    counts = {
        "all": depth * (adapted + backward) + 2 * head,
        "late": (depth - late) * plain + cached,
        "trl": (depth - late) * (2 * plain + frozen + 2 * attention) + late * (2 * adapted + backward) + 2 * head,
        "lora": depth * (adapted + backward) + 2 * head,
        "full": depth * 3 * plain + 3 * head,
        "off": (depth - late) * plain + cached,
        "cached": cached,
        "late-full": late * 3 * plain + 2 * head,
    }
    return {name: value / cached for name, value in counts.items()}
