"""The files of an export: an adapter for a base model that others have, merged weights, or one GGUF file."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import nn
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError
from hyperfit.models.loading import quiet
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any


def write_adapter(run: RunDir, folder: Path, base: str, strength: float) -> None:
    """The run's adapter, its scale times ``strength``, for the base model of the name ``base``."""
    shutil.copy(run.result / "adapter_model.safetensors", folder)
    config: dict[str, Any] = json.loads((run.result / "adapter_config.json").read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = base
    if strength != 1:
        config["lora_alpha"] *= strength
        config["alpha_pattern"] = {layer: alpha * strength for layer, alpha in config["alpha_pattern"].items()}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def write_merged(
    run: RunDir, folder: Path, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype, strength: float
) -> None:
    """A model folder of merged weights in ``dtype`` and the tokenizer; by itself the model decodes greedily."""
    model = merged(run, strength)
    if (name := unheld(model, dtype)) is not None:
        raise UserError(f"--dtype fp16: {name} has values that are too large for it; give bf16 or fp32")
    module: nn.Module = model
    module.to(dtype)
    model.generation_config = greedy(model.generation_config)
    with quiet():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)


def merged(run: RunDir, strength: float) -> PreTrainedModel:
    """The run's model on the CPU in fp32, its adapter, if it has one, added to the weights before any is rounded."""
    model = load_any(str(run.path), device=torch.device("cpu"), strength=strength)
    if not isinstance(model, PeftModel):
        return model
    whole: Any = model.merge_and_unload()
    return whole  # type: ignore[no-any-return]


def unheld(model: PreTrainedModel, dtype: torch.dtype) -> str | None:
    """The first weight with a value that is too large for ``dtype``, by its name; None if all can be held."""
    most = torch.finfo(dtype).max
    return next((name for name, values in model.named_parameters() if float(values.abs().max()) > most), None)


def greedy(own: Any) -> GenerationConfig:
    """Settings of ``generate`` with the special tokens of a model's own, and nothing that draws.

    Said outright: where it is left open, transformers' pipeline draws.
    """
    ids = ("bos_token_id", "eos_token_id", "pad_token_id")
    return GenerationConfig(do_sample=False, **{name: getattr(own, name, None) for name in ids})
