"""Tiny models whose linear layers are quantized by bitsandbytes."""

from pathlib import Path
from typing import Any

import torch
from transformers import BitsAndBytesConfig

from hyperfit.models.files.classes import model_class
from hyperfit.models.loading import load_config
from tiny_models import tiny_tokenizer


def save_4bit(source: Path, folder: Path) -> Path:
    """The model of a folder with its linear layers in NF4."""
    return save_quantized(
        source, folder, load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32
    )


def save_8bit(source: Path, folder: Path, threshold: float) -> Path:
    """The model of a folder with its linear layers in LLM.int8."""
    return save_quantized(source, folder, load_in_8bit=True, llm_int8_threshold=threshold)


def save_quantized(source: Path, folder: Path, **settings: Any) -> Path:
    """The model of a folder with its linear layers as bitsandbytes quantizes them."""
    how = BitsAndBytesConfig(llm_int8_skip_modules=["lm_head"], **settings)
    model = model_class(load_config(str(source))).from_pretrained(source, quantization_config=how, dtype=torch.float32)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder
