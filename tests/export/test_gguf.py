"""What a GGUF file holds: weights in llama.cpp's order, sizes, tokens; and what is not written as one."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.errors import UserError
from hyperfit.export.about import About
from hyperfit.export.gguf.architectures import hindrances, interleaved
from hyperfit.export.gguf.file import stored_as, write_gguf
from hyperfit.export.gguf.pretokenizers import KNOWN, LLAMA3, pretokenizer_of
from hyperfit.export.gguf.vocabulary import vocabulary_of
from hyperfit.models.files.dequantise import read_gguf
from tiny_models import tiny_config, tiny_model, tiny_tokenizer
from tiny_pieces import SIZE, tiny_pieces
from tiny_tokenizers import tiny_bpe

ABOUT = About(name="small", base="base", licence="apache-2.0", base_licence=None, what="GGUF file", file="small.gguf")


def test_rows_of_a_head_interleave() -> None:
    """Two heads of four rows: 0 1 | 2 3 becomes 0 2 1 3 in each."""
    rows = torch.arange(8.0)[:, None].repeat(1, 3)
    assert interleaved(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 3))
def test_interleaving_is_undone_by_its_inverse(heads: int, half: int, width: int) -> None:
    rows = torch.randn(heads * 2 * half, width)
    back = interleaved(rows, heads).reshape(heads, half, 2, width).transpose(1, 2).reshape(rows.shape)
    assert torch.equal(back, rows)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("tied", [True, False])
def test_weights_come_back_as_16_bits_hold_them(family: str, tied: bool, tmp_path: Path) -> None:
    tokenizer = tiny_bpe(begins=True)
    head = {"head_dim": 128} if family == "qwen3" else {}  # what transformers takes for granted of them
    model = tiny_model(family, vocab_size=len(tokenizer) + 4, tie_word_embeddings=tied, sliding_window=None, **head)
    file = tmp_path / ABOUT.file
    write_gguf(model, vocabulary_of(tokenizer, len(tokenizer) + 4), file, "F16", ABOUT)
    read, _ = read_gguf(file)
    theirs = dict(read.named_parameters())
    for name, values in model.named_parameters():
        assert torch.equal(theirs[name], values if values.dim() == 1 else values.half().float()), name
    assert read.config.tie_word_embeddings == tied
    for setting in ("head_dim", "rms_norm_eps", "max_position_embeddings", "num_key_value_heads", "vocab_size"):
        assert getattr(read.config, setting, None) == pytest.approx(getattr(model.config, setting, None))


def test_eight_bits_are_as_near_as_their_scale(tmp_path: Path) -> None:
    """Of each 32 weights the largest is 127 steps; what is stored lies half a step away at most."""
    tokenizer = tiny_bpe(begins=True)
    model = tiny_model("llama", vocab_size=len(tokenizer))
    file = tmp_path / ABOUT.file
    write_gguf(model, vocabulary_of(tokenizer, len(tokenizer)), file, "Q8_0", ABOUT)
    read = dict(read_gguf(file)[0].named_parameters())
    for name, values in model.named_parameters():
        if values.dim() == 2:
            blocks = values.reshape(-1, 32)
            step = blocks.abs().amax(1, keepdim=True) / 127
            assert ((read[name].reshape(-1, 32) - blocks).abs() <= 0.501 * step + 127 * step * 2**-11).all(), name


def test_a_matrix_whose_rows_are_no_blocks_has_16_bits() -> None:
    assert stored_as(torch.zeros(4, 64), "Q8_0") == "Q8_0"
    assert stored_as(torch.zeros(4, 48), "Q8_0") == "F16"
    assert stored_as(torch.zeros(4, 64), "F16") == "F16"
    assert stored_as(torch.zeros(64), "Q8_0") == "F32"


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    tokenizer = tiny_bpe(begins=True)
    tokenizer.chat_template = "{{ messages }}"
    file = tmp_path / ABOUT.file
    write_gguf(tiny_model("llama", vocab_size=302), vocabulary_of(tokenizer, 302, [1, 0]), file, "F16", ABOUT)
    known = {name: field.contents() for name, field in GGUFReader(file).fields.items()}
    expected = {
        "general.architecture": "llama",
        "general.name": "small",
        "general.license": "apache-2.0",
        "general.base_model.0.name": "base",
        "general.tags": ["hyperfitting"],
        "llama.block_count": 6,
        "llama.attention.head_count": 4,
        "llama.attention.head_count_kv": 2,
        "llama.rope.dimension_count": 8,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.bos_token_id": 0,
        "tokenizer.ggml.eos_token_id": 1,
        "tokenizer.ggml.eot_token_id": 0,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": "{{ messages }}",
    }
    assert {name: known.get(name) for name in expected} == expected
    assert known["tokenizer.ggml.tokens"][300:] == ["[PAD300]", "[PAD301]"]
    assert known["tokenizer.ggml.token_type"][:3] == [3, 3, 1]
    assert known["tokenizer.ggml.token_type"][300:] == [5, 5]


def test_pieces_are_scored_by_the_merges_that_make_them() -> None:
    tokenizer = tiny_pieces()
    found = vocabulary_of(tokenizer, SIZE)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    scores = found.settings["token_scores"]
    order = dict.fromkeys("".join(merge) for merge in merges)
    assert sorted(order, key=lambda piece: -scores[found.tokens.index(piece)]) == list(order)
    assert found.kinds[:4] == [2, 3, 3, 6]
    assert found.settings["add_bos_token"]
    assert found.settings["add_space_prefix"]


def described(**parts: Any) -> dict[str, Any]:
    letters = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    return {"normalizer": None, "pre_tokenizer": letters, "model": {"ignore_merges": False}, **parts}


def cuts(*steps: dict[str, Any], regex: bool = False) -> dict[str, Any]:
    last = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}
    return {"type": "Sequence", "pretokenizers": [*steps, last]}


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def test_ways_to_cut_have_names() -> None:
    digits = {"type": "Digits", "individual_digits": True}
    names = {
        "gpt-2": described(),
        "smollm": described(pre_tokenizer=cuts(digits, regex=True)),
        "llama-bpe": described(pre_tokenizer=cuts(split(LLAMA3)), model={"ignore_merges": True}),
        "qwen2": described(pre_tokenizer=cuts(split(KNOWN[3].split or "")), normalizer={"type": "NFC"}),
    }
    found = {name: pretokenizer_of(one) for name, one in names.items()}
    assert {name: one and one.name for name, one in found.items()} == {name: name for name in names}


def test_other_ways_have_none() -> None:
    spaced = described()
    spaced["pre_tokenizer"]["add_prefix_space"] = True
    for other in (
        spaced,
        described(pre_tokenizer=None),
        described(normalizer={"type": "Lowercase"}),
        described(pre_tokenizer=cuts(split(LLAMA3))),  # merges are not ignored, as llama.cpp would
        described(pre_tokenizer=cuts(split(r"\w+"))),
    ):
        assert pretokenizer_of(other) is None


@pytest.mark.parametrize(
    ("family", "changes", "part"),
    [
        ("gpt2", {}, "type 'gpt2'"),
        ("mistral", {}, "last 16 tokens"),
        ("llama", {"attention_bias": True}, "biases in its attention"),
        ("llama", {"mlp_bias": True}, "biases in its feed-forward"),
        ("llama", {"hidden_act": "gelu"}, "activation gelu"),
        ("llama", {"rope_parameters": {"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}}, "(linear)"),
    ],
)
def test_models_that_are_not_written_say_why(family: str, changes: dict[str, Any], part: str) -> None:
    (reason,) = hindrances(tiny_config(family, **changes))
    assert part in reason
    assert "leave --gguf out" in reason


def test_models_that_are_written_have_no_hindrance() -> None:
    for family, changes in (("llama", {}), ("qwen2", {}), ("qwen3", {}), ("mistral", {"sliding_window": None})):
        assert hindrances(tiny_config(family, **changes)) == []


def test_tokenizers_that_are_not_written_say_why() -> None:
    with pytest.raises(UserError, match="merges nothing"):
        vocabulary_of(tiny_tokenizer(), 257)
    with pytest.raises(UserError, match="tokens up to number 299, and the model knows 280"):
        vocabulary_of(tiny_bpe(begins=True), 280)
