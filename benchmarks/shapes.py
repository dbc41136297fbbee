"""The models of the benchmarks: real proportions at reduced or full width, random weights."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

END = "<|end|>"
BUILTIN = ("tiny", "smollm2")
"""Shapes that are a built-in model, with its own weights."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The proportions of a published model."""

    family: str
    """``model_type``"""
    blocks: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    vocabulary: int
    tied: bool
    """Whether embedding and head share their weights."""
    reduced: int
    """Width at which it is measured on a CPU."""

    def config(self, width: int, positions: int) -> Any:
        """A config of the same depth with everything else scaled to ``width``; as many queries to a key as it has."""
        group = self.heads // self.kv_heads
        heads = self.heads if width == self.width else group * max(1, width // (64 * group))
        if width % (2 * heads):
            raise SystemExit(f"--width {width}: must be a multiple of {2 * heads} for this shape")
        return AutoConfig.for_model(
            self.family,
            vocab_size=self.vocabulary * width // self.width,
            hidden_size=width,
            intermediate_size=self.inner * width // self.width,
            num_hidden_layers=self.blocks,
            num_attention_heads=heads,
            num_key_value_heads=heads // group,
            max_position_embeddings=positions,
            tie_word_embeddings=self.tied,
            bos_token_id=0,
            eos_token_id=0,
            pad_token_id=0,
        )


SHAPES = {
    "tinyllama": Shape(
        family="llama", blocks=22, width=2048, inner=5632, heads=32, kv_heads=4, vocabulary=32000, tied=False,
        reduced=512,
    ),
    "qwen": Shape(
        family="qwen2", blocks=28, width=1536, inner=8960, heads=12, kv_heads=2, vocabulary=151936, tied=True,
        reduced=384,
    ),
    "llama-8b": Shape(
        family="llama", blocks=32, width=4096, inner=14336, heads=32, kv_heads=8, vocabulary=128256, tied=False,
        reduced=512,
    ),
    "llama-70b": Shape(
        family="llama", blocks=80, width=8192, inner=28672, heads=64, kv_heads=8, vocabulary=128256, tied=False,
        reduced=512,
    ),
}  # fmt: skip
"""TinyLlama 1.1B, Qwen2.5-1.5B, Llama 3 8B and 70B."""


def config_of(name: str, width: int | None, positions: int) -> Any:
    """The config of a shape. width: None for the reduced one, 0 for the real one."""
    if name in BUILTIN:
        from hyperfit.models.loading import load_config

        return load_config(f"builtin:{name}")
    shape = SHAPES[name]
    return shape.config(shape.reduced if width is None else width or shape.width, positions)


def save_model(config: Any, folder: Path, dtype: Any) -> Path:
    """A model with random weights, the same each time, in the folder, and a tokenizer that nothing is read with."""
    import torch

    torch.manual_seed(0)
    AutoModelForCausalLM.from_config(config, dtype=dtype).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """A token is a byte of the text; every family's tokenizer class takes it as it is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    vocabulary = {letter: number for number, letter in enumerate([END, *sorted(pre_tokenizers.ByteLevel.alphabet())])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=END, eos_token=END, pad_token=END)


def make_texts(folder: Path, count: int, length: int) -> None:
    """Files of random letters, each with a few more than a sequence takes."""
    folder.mkdir()
    draw = random.Random(0)
    for number in range(count):
        letters = "".join(draw.choices("abcdefghijklmnopqrstuvwxyz", k=length + 8))
        (folder / f"{number}.txt").write_text(letters, encoding="utf-8")
