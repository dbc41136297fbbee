"""GGUF files as models: unpacked once by their content, and refused in one message."""

import json
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import PreTrainedModel

import hyperfit.models.files.dequantise as module
from hyperfit.errors import UserError
from hyperfit.models.files.folders import model_folder
from hyperfit.models.loading import load_model, load_tokenizer
from tiny_models import random_ids, tiny_model
from tiny_tokenizers import SENTENCES, tiny_bpe


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def unpacked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were unpacked, to folders that only look like models."""
    files: list[Path] = []

    def save(file: Path, folder: Path) -> None:
        files.append(file)
        folder.mkdir()
        for name in module.FILES:
            (folder / name).write_bytes(file.read_bytes())

    monkeypatch.setattr(module, "save_dequantised", save)
    monkeypatch.setattr(module, "unpacked_size", lambda file: file.stat().st_size)
    return files


def test_a_file_is_unpacked_once_by_what_is_in_it(unpacked: list[Path], cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "Story-7B.Q4.GGUF"
    file.write_bytes(b"one")
    folder = model_folder(str(file))
    # SHA-256 of "one" begins with 7692c3ad3540
    assert folder == str(cache / "Story-7B.Q4-7692c3ad3540")
    assert model_folder(str(file)) == folder
    file.write_bytes(b"another")
    assert model_folder(str(file)) != folder
    assert unpacked == [file, file]


def test_a_folder_with_one_such_file_is_that_file(unpacked: list[Path], tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "a.gguf").write_bytes(b"one")
    assert model_folder(str(tmp_path / "model")).endswith("a-7692c3ad3540")
    (tmp_path / "model" / "b.gguf").write_bytes(b"two")
    with pytest.raises(UserError, match=r"holds several .gguf files; give one of .*a.gguf, .*b.gguf"):
        model_folder(str(tmp_path / "model"))
    (tmp_path / "model" / "config.json").write_text("{}")
    assert model_folder(str(tmp_path / "model")) == str(tmp_path / "model"), "a model folder with files beside it"


def test_what_is_no_gguf_is_refused_and_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF and nothing else")
    with pytest.raises(UserError, match=r"broken.gguf: cannot be read by transformers' reader of GGUF files"):
        model_folder(str(file))
    assert all(path.name.endswith(".lock") for path in cache.iterdir())


def test_without_the_reader(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"one")
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs the package gguf, which reads such files; pip install gguf"):
        model_folder(str(tmp_path / "a.gguf"))


# Files that are read

F32, F16, Q8 = (getattr(gguf.GGMLQuantizationType, name) for name in ("F32", "F16", "Q8_0"))
VOCABULARY = 300
NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
"""Transformers' names of a Llama's weights → those in a GGUF file."""


def llama() -> PreTrainedModel:
    """A tiny Llama for the tokens of ``tiny_bpe``, with norms that are no ones."""
    model = tiny_model("llama", vocab_size=VOCABULARY)
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        if parameter.dim() == 1:
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model


def write_gguf(file: Path, model: PreTrainedModel, kind: gguf.GGMLQuantizationType) -> dict[str, torch.Tensor]:
    """Write the model with matrices of that kind, and norms in float32, as llama.cpp does; what the file then holds."""
    config, bpe, held = model.config, json.loads(tiny_bpe(begins=False).backend_tokenizer.to_str())["model"], {}
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_name("tiny")
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(bpe["vocab"], key=bpe["vocab"].get))
    writer.add_token_merges([" ".join(pair) for pair in bpe["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, tensor in model.state_dict().items():
        stored = gguf.quants.quantize(tensor.numpy(), kind if tensor.dim() == 2 else F32)
        held[name] = torch.tensor(gguf.quants.dequantize(stored, kind if tensor.dim() == 2 else F32))
        path, place = name.removesuffix(".weight"), ""
        if path.startswith("model.layers."):
            _, _, index, path = path.split(".", 3)
            place = f"blk.{index}."
        heads = {"self_attn.q_proj": config.num_attention_heads, "self_attn.k_proj": config.num_key_value_heads}
        if path in heads:  # rotary pairs side by side, where transformers has the first halves before the second ones
            stored = stored.reshape(heads[path], 2, -1, stored.shape[1]).swapaxes(1, 2).reshape(stored.shape)
        quantised = {} if stored.dtype in (np.float16, np.float32) else {"raw_dtype": kind}
        writer.add_tensor(f"{place}{NAMES[path]}.weight", np.ascontiguousarray(stored), **quantised)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


@pytest.mark.parametrize(
    ("kind", "dtype"), [(F32, torch.float32), (F16, torch.float32), (Q8, torch.bfloat16)], ids=["F32", "F16", "Q8_0"]
)
def test_weights_are_kept_exactly_unless_they_are_quantised(
    cache: Path, tmp_path: Path, kind: gguf.GGMLQuantizationType, dtype: torch.dtype
) -> None:
    """bfloat16 would take three bits of float16's eleven, and sixteen of float32's."""
    model, file = llama(), tmp_path / "tiny.gguf"
    held = write_gguf(file, model, kind)
    folder = Path(model_folder(str(file)))
    unpacked = load_file(folder / "model.safetensors")
    assert unpacked.keys() == held.keys()
    for name, tensor in held.items():
        assert unpacked[name].dtype == dtype
        assert torch.equal(unpacked[name], tensor.to(dtype)), name
    assert json.loads((folder / "config.json").read_text())["dtype"] == str(dtype).removeprefix("torch.")
    again, ids = load_model(str(file), device=torch.device("cpu"), dtype=torch.float32), random_ids(2, 9)
    model.load_state_dict({name: tensor.to(dtype) for name, tensor in held.items()})
    torch.testing.assert_close(again(input_ids=ids).logits, model(input_ids=ids).logits)
    assert load_tokenizer(str(file))(SENTENCES[0])["input_ids"] == tiny_bpe(begins=False)(SENTENCES[0])["input_ids"]


@pytest.mark.parametrize(("kind", "bytes_each"), [(F16, 4), (Q8, 2)], ids=["F16", "Q8_0"])
def test_the_room_that_is_asked_for_is_what_is_written(
    cache: Path, tmp_path: Path, kind: gguf.GGMLQuantizationType, bytes_each: int
) -> None:
    """Weights to the byte, and little more for the tokenizer."""
    model, file = llama(), tmp_path / "tiny.gguf"
    write_gguf(file, model, kind)
    weights = bytes_each * sum(tensor.numel() for tensor in model.state_dict().values())
    written = sum(path.stat().st_size for path in Path(model_folder(str(file))).iterdir())
    asked = module.unpacked_size(file)
    assert weights < written <= asked
    described = file.stat().st_size - sum(int(tensor.n_bytes) for tensor in gguf.GGUFReader(file).tensors)
    assert asked == weights + 8 * described


def test_a_file_is_parsed_once(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pure Python: seconds for a vocabulary of usual size, each time."""
    made: list[str] = []

    class Counting(gguf.GGUFReader):  # type: ignore[misc]
        def __init__(self, path: str) -> None:
            made.append(path)
            super().__init__(path)

    monkeypatch.setattr(gguf, "GGUFReader", Counting)
    for name in ("one", "two"):
        write_gguf(tmp_path / f"{name}.gguf", tiny_model("llama", seed=ord(name[0]), vocab_size=VOCABULARY), F16)
        model_folder(str(tmp_path / f"{name}.gguf"))
    assert made == [str(tmp_path / "one.gguf"), str(tmp_path / "two.gguf")]
    assert gguf.GGUFReader is Counting
    (tmp_path / "bad.gguf").write_bytes(b"GGUF and nothing else")
    with pytest.raises(UserError):
        model_folder(str(tmp_path / "bad.gguf"))
    assert gguf.GGUFReader is Counting


def test_a_file_without_some_of_the_weights_is_refused(cache: Path, tmp_path: Path) -> None:
    """transformers would draw them at random, and say so where nobody looks."""
    file = tmp_path / "tiny.gguf"
    write_gguf(file, llama(), F16)
    file.write_bytes(file.read_bytes().replace(b"blk.1.ffn_up.weight", b"blk.1.ffn_op.weight"))
    with pytest.raises(UserError, match=r"has no weights for 1 tensors of the model, such as model.layers.1.mlp.up"):
        model_folder(str(file))
    assert all(path.name.endswith(".lock") for path in cache.iterdir())
