"""LoRA adapters in a folder: what theirs says, checked before PEFT builds it."""

from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig, PeftModel
from transformers import PreTrainedModel

from hyperfit.data.reading.inside import check_inside
from hyperfit.errors import UserError, first_line
from hyperfit.models.loading import quiet

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
NEVER = ("megatron_config", "layer_replication")
"""What a LoRA adapter may ask for that is no adapter on the layers as they are: PEFT imports a module that the first
names, and the second builds as many layers as it says."""


def adapter_config(folder: Path, name: str) -> LoraConfig:
    """What adapter_config.json says. Raises UserError, which begins with ``name``, if that is no LoRA adapter's."""
    check_inside(folder, (folder / CONFIG, folder / WEIGHTS))
    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
    except Exception as error:  # each kind of adapter finds its own words for what cannot be
        raise UserError(f"{name}: {CONFIG} cannot be used ({first_line(error)})") from error
    if not isinstance(config, LoraConfig):
        kind = getattr(config.peft_type, "value", "unknown")
        raise UserError(f"{name}: an adapter of type {kind}; only LoRA adapters can be loaded")
    if unknown := [asked for asked in NEVER if getattr(config, asked, None)]:
        raise UserError(f"{name}: {CONFIG} asks for {unknown[0]}, which is not done here; give an adapter without it")
    if not isinstance(config.base_model_name_or_path, str) or not config.base_model_name_or_path:
        raise UserError(f"{name}: {CONFIG} does not name the base model (base_model_name_or_path); write it there")
    return config


def with_adapter(model: PreTrainedModel, adapter: Path, base: str) -> PeftModel:
    """The model with the adapter of a folder on it, frozen, in evaluation mode; base: the model's name in messages.

    Raises UserError if the adapter does not belong on it.
    """
    check_ranks(adapter, adapter_config(adapter, str(adapter)), model)
    try:
        with quiet():
            adapted = PeftModel.from_pretrained(model, str(adapter), autocast_adapter_dtype=True)
            return adapted.eval().requires_grad_(False)
    except Exception as error:  # PEFT builds whatever its config says
        raise UserError(f"{adapter}: the adapter cannot be loaded onto {base} ({first_line(error)})") from error


def check_ranks(adapter: Path, config: LoraConfig, model: PreTrainedModel) -> None:
    """Raises UserError for a rank that is none, or above the model's width: PEFT would build it before it compares."""
    width = model.config.get_text_config(decoder=True).hidden_size
    pattern = config.rank_pattern if isinstance(config.rank_pattern, dict) else {}
    for rank in (config.r, *pattern.values()):
        if not isinstance(rank, int) or not 0 < rank <= width:
            raise UserError(f"{adapter}: {CONFIG} says rank {rank!r}; give an adapter of rank 1 to {width}")
