"""The fingerprint of a model's weights: what changes it, and what does not."""

import itertools
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.models.files import weights
from hyperfit.models.files.weights import BLOCK, BLOCKS, samples, weight_files, weights_fingerprint
from tiny_models import save_tiny, tiny_model

Tensors = dict[str, Tensor]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("weights") / "model")


@pytest.fixture
def copy(model: Path, tmp_path: Path) -> Path:
    return shutil.copytree(model, tmp_path / "copy")


def change(folder: Path, how: Callable[[Tensors], object], metadata: str = "pt") -> None:
    tensors = load_file(folder / "model.safetensors")
    how(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": metadata})


def test_it_is_of_the_weights_and_nothing_else(model: Path, copy: Path, tmp_path: Path) -> None:
    """Another place, another time, other metadata, another order, other texts beside, other files: the same model."""
    found = weights_fingerprint(str(model))
    assert len(found) == 16
    assert int(found, 16)
    os.utime(copy / "model.safetensors", (0, 0))
    (copy / "README.md").write_text("corrected")
    change(copy, lambda tensors: None, "another")
    assert weights_fingerprint(str(copy)) == found
    tiny_model().save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert len(weight_files(str(tmp_path / "shards"))) > 2
    assert weights_fingerprint(str(tmp_path / "shards")) == found


CHANGES: dict[str, Callable[[Tensors], object]] = {
    "training": lambda tensors: [tensor.add_(1e-3) for tensor in tensors.values()],
    "one matrix": lambda tensors: tensors["model.layers.3.mlp.up_proj.weight"].mul_(1.01),
    "one number of a small tensor": lambda tensors: tensors["model.layers.5.input_layernorm.weight"][7].add_(1e-6),
    "type": lambda tensors: tensors.update({name: value.bfloat16() for name, value in tensors.items()}),
    "vocabulary": lambda tensors: tensors.update({"lm_head.weight": tensors["lm_head.weight"][:-1].clone()}),
    "shape": lambda tensors: tensors.update({"lm_head.weight": tensors["lm_head.weight"].reshape(32, -1)}),
    "a tensor gone": lambda tensors: tensors.pop("model.norm.weight"),
    "two in each other's place": lambda tensors: tensors.update(
        {
            "model.layers.0.mlp.up_proj.weight": tensors["model.layers.1.mlp.up_proj.weight"],
            "model.layers.1.mlp.up_proj.weight": tensors["model.layers.0.mlp.up_proj.weight"],
        }
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_changes_it(model: Path, copy: Path, what: str) -> None:
    change(copy, CHANGES[what])
    assert weights_fingerprint(str(copy)) != weights_fingerprint(str(model))


def test_every_tensor_counts(model: Path, copy: Path) -> None:
    found = {weights_fingerprint(str(model))}
    names = sorted(load_file(model / "model.safetensors"))
    for name in names:
        shutil.copy(model / "model.safetensors", copy)
        change(copy, lambda tensors, name=name: tensors[name].neg_())  # type: ignore[misc]
        found.add(weights_fingerprint(str(copy)))
    assert len(found) == 1 + len(names)


@given(st.integers(0, 10**12), st.integers(0, 10**6))
def test_what_is_read_of_a_tensor(size: int, start: int) -> None:
    pieces = samples(size, start)
    assert pieces[0][0] == start
    assert sum(pieces[-1]) == start + size, "to the last byte"
    assert sum(length for _, length in pieces) == min(size, BLOCK * BLOCKS)
    for (one, length), (other, _) in itertools.pairwise(pieces):
        assert one + length <= other


def test_a_damaged_file_is_named(copy: Path) -> None:
    file = copy / "model.safetensors"
    whole = file.read_bytes()
    headers = [b"[]", b'{"a": {"dtype": "F32"}}', b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [9, 5]}}']
    for raw in (
        b"",
        whole[:100],
        whole[:-1],
        b"\xff" * 100,
        *(len(header).to_bytes(8, "little") + header for header in headers),
    ):
        file.write_bytes(raw)
        with pytest.raises(UserError, match=r"model.safetensors: cannot be read \(.*\); copy or download it again"):
            weights_fingerprint(str(copy))


def test_where_a_hub_gives_no_files_its_commit_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for commit in ("abc", "abc", "def"):
        monkeypatch.setattr(weights, "load_config", lambda name, commit=commit: SimpleNamespace(_commit_hash=commit))
        found.append(weights_fingerprint("someone/converted"))
    assert found[0] == found[1] != found[2]


def test_the_built_in_model_has_one() -> None:
    assert len(weights_fingerprint("builtin:tiny")) == 16
