"""GGUF files as models: unpacked once by their content, and refused in one message."""

from pathlib import Path

import pytest

import hyperfit.models.dequantise as module
from hyperfit.errors import UserError
from hyperfit.models.folders import model_folder


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
