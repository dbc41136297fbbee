"""GGUF files in llama.cpp: the same tokens of a text, and the same likeliest tokens, as in transformers."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.export.about import About
from hyperfit.export.gguf.file import write_gguf
from hyperfit.export.gguf.vocabulary import vocabulary_of
from hyperfit.export.settings import GGUFKind
from hyperfit.export.verify import first_difference, observe
from hyperfit.models.builtin.smollm2 import NAME as SMOLLM2
from hyperfit.models.files.dequantise import read_gguf
from hyperfit.models.loading import load_model, load_tokenizer
from in_llama_cpp import LlamaCpp
from tiny_models import tiny_model
from tiny_pieces import SIZE, tiny_pieces
from tiny_tokenizers import tiny_bpe

TEXTS = (
    "The harbour master counted 9 boats at dusk, in 1986, and ten at dawn.",
    "Nobody'd sell her the blue bicycle:\n\n  so she built – slowly – a green one!",
    "Två bröder lagade klockor 🕰",
)
LIKE: dict[str, Any] = {"max_position_embeddings": 256, "eos_token_id": None}
"""Of the tiny models: room for the texts, and no end beside the tokenizer's."""
NEW, TIE, TIE_8_BITS = 24, 0.02, 0.3
"""Tokens of a continuation; nats between the two likeliest tokens that rounding in llama.cpp may bridge."""
ABOUT = About(name="small", base="base", licence="apache-2.0", base_licence=None, what="GGUF file (F16)", file="m.gguf")


def written(folder: Path, model: Any, tokenizer: Any, kind: GGUFKind = "F16") -> LlamaCpp:
    file = folder / ABOUT.file
    write_gguf(model, vocabulary_of(tokenizer, model.config.vocab_size), file, kind, ABOUT)
    return LlamaCpp(file)


def half_precise(model: Any) -> Any:
    """The model with weights that 16 bits hold as they are."""
    for one in model.parameters():
        one.data = one.data.half().float()
    return model


def check_same(found: LlamaCpp, model: Any, tokenizer: Any, tie: float = TIE) -> None:
    contexts = [tokenizer(text)["input_ids"] for text in TEXTS]
    assert [found.tokens(text) for text in TEXTS] == contexts
    before = observe(model, tokenizer, contexts, what="transformers", new_tokens=NEW)
    for place, context in enumerate(contexts):
        first = first_difference(before.texts[place], found.greedy(context, NEW))
        if first is not None:
            best, second, *_ = before.log_probabilities[place, first].tolist()
            assert best - second < tie


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
def test_every_family(family: str, tmp_path: Path) -> None:
    tokenizer = tiny_bpe(begins=family != "qwen2")
    model = half_precise(tiny_model(family, vocab_size=len(tokenizer), sliding_window=None, **LIKE))
    check_same(written(tmp_path, model, tokenizer), model, tokenizer)


def test_pieces(tmp_path: Path) -> None:
    model = half_precise(tiny_model("llama", vocab_size=SIZE, tie_word_embeddings=True, **LIKE))
    check_same(written(tmp_path, model, tiny_pieces()), model, tiny_pieces())


@pytest.mark.parametrize("name", ["builtin:tiny", SMOLLM2])
def test_built_in_models(name: str, tmp_path: Path, smollm2: Path) -> None:
    model, tokenizer = load_model(name, device=torch.device("cpu"), dtype=torch.float32), load_tokenizer(name)
    check_same(written(tmp_path, model, tokenizer), model, tokenizer)


def test_eight_bits(tmp_path: Path) -> None:
    name = "builtin:tiny"
    model, tokenizer = load_model(name, device=torch.device("cpu"), dtype=torch.float32), load_tokenizer(name)
    found = written(tmp_path, model, tokenizer, "Q8_0")
    read, _ = read_gguf(tmp_path / ABOUT.file)
    check_same(found, read, tokenizer, TIE_8_BITS)  # llama.cpp rounds what it multiplies by, too
