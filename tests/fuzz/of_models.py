"""Files of models: configs, tokenizers, weights, adapters, GGUF files."""

import json
import os
import shutil
import tempfile
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from peft import LoraConfig, get_peft_model
from transformers import PreTrainedModel

from fuzz.reader import Reader
from hyperfit.export.about import About
from hyperfit.export.gguf.file import write_gguf
from hyperfit.export.gguf.vocabulary import vocabulary_of
from hyperfit.image.palette import load_palette
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.weights import weights_fingerprint
from hyperfit.models.loading import load_config, load_model, load_tokenizer, quiet
from hyperfit.models.structure.ends import end_tokens_of
from hyperfit.runs.adapter import with_adapter
from hyperfit.runs.result import parts_of
from tiny_images import save_tiny_image
from tiny_models import tiny_model, tiny_tokenizer
from tiny_tokenizers import tiny_bpe

PICTURES, SHARDS, ADAPTER, GGUF, WORDS = "pictures", "shards", "adapter", "gguf", "words"
"""Kinds of folders, beside that of a plain model."""


@cache
def model_files(kind: str = "") -> dict[str, bytes]:
    """Of a tiny random model, of one block."""
    with tempfile.TemporaryDirectory() as name, quiet():
        folder = Path(name)
        if kind == PICTURES:
            save_tiny_image(folder)
        elif kind == SHARDS:
            base().save_pretrained(folder, max_shard_size="40KB")
            tiny_tokenizer().save_pretrained(folder)
        elif kind == ADAPTER:
            model = get_peft_model(deepcopy(base()), LoraConfig(r=2, target_modules=["q_proj", "down_proj"]))
            model.peft_config["default"].base_model_name_or_path = "base"
            model.save_pretrained(folder, save_embedding_layers=False)
        elif kind == GGUF:
            small = tiny_model("llama", num_hidden_layers=1, vocab_size=SPOKEN, hidden_size=16, intermediate_size=16)
            about = About(name="a", base="b", licence="mit", base_licence=None, what="GGUF file", file="a.gguf")
            write_gguf(small, vocabulary_of(tiny_bpe(begins=True), SPOKEN), folder / "a.gguf", "F16", about)
        elif kind == WORDS:
            words = {letter: number for number, letter in enumerate(["<|endoftext|>", *"abcdefg", "ab", "abc"])}
            (folder / "vocab.json").write_text(json.dumps(words))
            (folder / "merges.txt").write_text("#version: 0.2\na b\nab c\n")
            (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "GPT2Tokenizer"}')
            (folder / "config.json").write_text('{"model_type": "gpt2"}')
        else:
            base().save_pretrained(folder)
            tiny_tokenizer().save_pretrained(folder)
        return {path.name: path.read_bytes() for path in folder.iterdir()}


SPOKEN = 300
"""Tokens of ``tiny_bpe``, and some more."""


@cache
def base() -> PreTrainedModel:
    """The model that adapters are for."""
    return tiny_model(num_hidden_layers=1)


def files_beside(folder: Path, kind: str = "") -> None:
    for name, whole in model_files(kind).items():
        if not (folder / name).exists():
            (folder / name).write_bytes(whole)


def weights_of(path: Path) -> Any:
    return load_model(str(path.parent), device=torch.device("cpu"), dtype=torch.float32)


def adapter_of(path: Path) -> Any:
    return parts_of(str(path.parent)), with_adapter(deepcopy(base()), path.parent, "base")


def gguf_of(path: Path) -> Any:
    """The folder that is made of it, which is removed again."""
    kept = path.parent / "cache"
    try:
        with patch.dict(os.environ, {"HYPERFIT_CACHE": str(kept)}):
            return model_folder(str(path))
    finally:
        shutil.rmtree(kept, ignore_errors=True)


def of_kind(kind: str, name: str) -> Reader:
    """A file of such a folder, by what reads it."""
    read = READ_BY[name]
    return Reader(name, lambda: model_files(kind)[name], read, lambda folder: files_beside(folder, kind))


def tokens_of(path: Path) -> Any:
    return load_tokenizer(str(path.parent)).encode("abc, “犬”")


READ_BY: dict[str, Any] = {
    "adapter_config.json": adapter_of,
    "adapter_model.safetensors": adapter_of,
    "model.safetensors.index.json": lambda path: (weights_of(path), weights_fingerprint(str(path.parent))),
    "preprocessor_config.json": lambda path: load_palette(str(path.parent)),
    **dict.fromkeys(("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt"), tokens_of),
    "generation_config.json": lambda path: (end_tokens_of(str(path.parent), tiny_tokenizer()), weights_of(path)),
    "model.safetensors": weights_of,
    "a.gguf": gguf_of,
}
CONFIG = "config.json"
OF_MODELS = {
    "config": Reader(CONFIG, lambda: model_files()[CONFIG], lambda path: load_config(str(path.parent)), files_beside),
    "model": Reader(CONFIG, lambda: model_files()[CONFIG], weights_of, files_beside),
    "processor": of_kind(PICTURES, "preprocessor_config.json"),
    "tokenizer": of_kind("", "tokenizer.json"),
    "tokenizer settings": of_kind("", "tokenizer_config.json"),
    "vocabulary": of_kind(WORDS, "vocab.json"),
    "merges": of_kind(WORDS, "merges.txt"),
    "generation settings": of_kind("", "generation_config.json"),
    "weights": of_kind("", "model.safetensors"),
    "fingerprint": Reader(
        "model.safetensors",
        lambda: model_files()["model.safetensors"],
        lambda path: weights_fingerprint(str(path.parent)),
        files_beside,
    ),
    "shards": of_kind(SHARDS, "model.safetensors.index.json"),
    "adapter": of_kind(ADAPTER, "adapter_config.json"),
    "adapter weights": of_kind(ADAPTER, "adapter_model.safetensors"),
    "gguf": of_kind(GGUF, "a.gguf"),
}
