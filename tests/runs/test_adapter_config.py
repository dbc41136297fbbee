"""Adapters of somebody else: what adapter_config.json may ask for, and what is refused before PEFT builds it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file

from hyperfit.errors import UserError
from hyperfit.models.loading import load_config, quiet
from hyperfit.runs.result import load_any, parts_of
from tiny_models import WIDTH, random_ids, save_tiny, tiny_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model, and an adapter of rank 2 for it."""
    folder = tmp_path_factory.mktemp("made")
    save_tiny(folder / "base")
    with quiet():
        model = get_peft_model(tiny_model(), LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
        model.peft_config["default"].base_model_name_or_path = str(folder / "base")
        model.save_pretrained(folder / "adapter")
    return folder


@pytest.fixture
def adapter(made: Path, tmp_path: Path) -> Path:
    """A copy of the adapter to change."""
    return shutil.copytree(made / "adapter", tmp_path / "adapter")


def change(adapter: Path, **changes: Any) -> None:
    file = adapter / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def refusal(adapter: Path) -> str:
    with pytest.raises(UserError) as caught:
        load_any(adapter, device="cpu")
    (problem,) = caught.value.problems
    return problem


def test_an_adapter_as_it_is_saved_is_read(made: Path, adapter: Path) -> None:
    assert parts_of(str(adapter)) == (str(made / "base"), adapter)
    ids = random_ids(1, 9)
    base, tuned = load_any(made / "base", device="cpu"), load_any(adapter, device="cpu")
    assert not torch.equal(base(input_ids=ids).logits, tuned(input_ids=ids).logits)


@pytest.mark.parametrize("asked", [{"megatron_config": {"a": 1}}, {"layer_replication": [[0, 6], [0, 6]]}])
def test_what_is_no_adapter_on_the_layers_as_they_are_is_refused(adapter: Path, asked: dict[str, Any]) -> None:
    change(adapter, **asked)
    (name,) = asked
    assert refusal(adapter) == f"{adapter}: adapter_config.json asks for {name}, which is not done here; " + (
        "give an adapter without it"
    )


@pytest.mark.parametrize("changes", [{"r": 10**9}, {"r": WIDTH + 1}, {"r": 0}, {"rank_pattern": {"q_proj": 10**9}}])
def test_a_rank_above_the_width_of_the_model_is_refused_before_it_is_built(
    adapter: Path, changes: dict[str, Any]
) -> None:
    change(adapter, **changes)
    assert f"{adapter}: adapter_config.json says rank " in (problem := refusal(adapter))
    assert problem.endswith(f"; give an adapter of rank 1 to {WIDTH}")


def test_a_rank_as_large_as_the_width_is_read(adapter: Path) -> None:
    change(adapter, r=WIDTH)
    weights = load_file(adapter / "adapter_model.safetensors")
    wide = {name: value.repeat(16, 1) if ".lora_A." in name else value.repeat(1, 16) for name, value in weights.items()}
    save_file(wide, adapter / "adapter_model.safetensors")
    assert load_any(adapter, device="cpu")


@pytest.mark.parametrize("named", [None, "", 5, ["a"]])
def test_an_adapter_that_names_no_base_model_is_refused(adapter: Path, named: Any) -> None:
    change(adapter, base_model_name_or_path=named)
    assert "does not name the base model (base_model_name_or_path); write it there" in refusal(adapter)


@pytest.mark.parametrize("content", ["", "[]", '{"peft_type": "NEW"}', "[" * 100_000, '{"peft_type": []}'])
def test_what_is_no_config_is_refused(adapter: Path, content: str) -> None:
    (adapter / "adapter_config.json").write_text(content)
    assert f"{adapter}: " in (problem := refusal(adapter))
    assert "adapter_config.json cannot be used (" in problem


@pytest.mark.parametrize(("content", "kind"), [('{"peft_type": "IA3"}', "IA3"), ("{}", "unknown")])
def test_an_adapter_of_another_kind_is_refused(adapter: Path, content: str, kind: str) -> None:
    (adapter / "adapter_config.json").write_text(content)
    assert refusal(adapter) == f"{adapter}: an adapter of type {kind}; only LoRA adapters can be loaded"


def test_a_model_with_an_adapter_beside_it_is_refused(made: Path, adapter: Path) -> None:
    """transformers would put the adapter on the model, and training would not know of it."""
    shutil.copytree(made / "base", adapter, dirs_exist_ok=True)
    with pytest.raises(UserError, match=r"holds an adapter \(adapter_config.json\) beside the model; move one of"):
        load_config(str(adapter))
