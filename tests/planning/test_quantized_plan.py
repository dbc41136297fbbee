"""What quantized weights take, beside those of bitsandbytes, and what cannot be trained above them."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from hyperfit.cli import main
from hyperfit.models.adapt import adapt
from hyperfit.models.devices import autocast
from hyperfit.models.files.quantized import scheme_of
from hyperfit.models.loading import load_config, load_model
from hyperfit.planning.count import Count
from hyperfit.planning.quantized import bytes_of_matrix, quantized_layers
from hyperfit.planning.rehearsal import rehearse
from hyperfit.prefix.bypass import Bypass, frozen_blocks
from hyperfit.prefix.stream import skeleton
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import adam
from tiny_models import BLOCKS, VOCABULARY, save_tiny
from tiny_quantized import save_quantized

bitsandbytes = pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")
WIDTH, MLP, BATCH, LENGTH = 96, 160, 4, 32
SCHEMES: dict[str, dict[str, Any]] = {
    "NF4": {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
    "NF4, scales of 8 bits": {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True
    },
    "8 bits": {"load_in_8bit": True, "llm_int8_threshold": 0.0},
}  # fmt: skip


@pytest.fixture(scope="module", params=SCHEMES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    place = tmp_path_factory.mktemp("model")
    source = save_tiny(place / "whole", hidden_size=WIDTH, intermediate_size=MLP)
    return str(save_quantized(source, place / "quantized", **SCHEMES[request.param]))


def tensors_of(thing: Any) -> list[torch.Tensor]:
    """Those among its own values, and those of the states of 4 bits."""
    kept = [one for one in vars(thing).values() if isinstance(one, torch.Tensor)]
    return kept + [tensor for one in vars(thing).values() if isinstance(one, bitsandbytes.functional.QuantState)
                   for tensor in tensors_of(one)]  # fmt: skip


def all_tensors(model: nn.Module) -> list[torch.Tensor]:
    """Parameters, buffers, and what bitsandbytes keeps beside its weights."""
    found = [*model.parameters(), *model.buffers()]
    for layer in model.modules():
        for kept in (getattr(layer, "state", None), getattr(getattr(layer, "weight", None), "quant_state", None)):
            found += tensors_of(kept) if kept is not None else []
    return found


def bytes_of(tensors: list[torch.Tensor]) -> int:
    """Of their storages, each once."""
    return sum({one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() for one in tensors}.values())


def recipe(**changes: Any) -> Recipe:
    made = Recipe(
        model="m", data="d", method="late-lora", late_blocks=2, rank=8, batch_size=BATCH, length=LENGTH,
        precision="fp32", **changes,
    )  # fmt: skip
    return filled_in(made, BLOCKS, WIDTH)


def test_bytes_by_hand() -> None:
    """Of 256 x 512 weights: 2,048 scales of 64 weights, which have eight of their own."""
    four = {"load_in_4bit": True}
    assert bytes_of_matrix((256, 512), four) == 65_536 + 4 * 2_048 + 64
    assert (
        bytes_of_matrix((256, 512), four | {"bnb_4bit_use_double_quant": True}) == 65_536 + 2_048 + 32 + 4 + 64 + 1_024
    )
    assert bytes_of_matrix((256, 512), {"load_in_8bit": True}) == 131_072 + 1_024
    assert bytes_of_matrix((3, 5), four) == 8 + 4 + 64


def test_what_is_rehearsed_is_what_bitsandbytes_holds_and_an_update_takes(folder: str) -> None:
    """Weights exactly; what passes nearly, and never less than it is."""
    config, wanted = load_config(folder), recipe()
    found = rehearse(config, wanted)
    adapted = adapt(load_model(folder, device=CPU, dtype=torch.float32), wanted).eval()
    learned = sum(one.nbytes for one in adapted.parameters() if one.requires_grad)
    assert bytes_of(all_tensors(adapted)) == found.weights + learned
    assert found.learning == learned
    Bypass(adapted, frozen_blocks(adapted)).hidden = torch.randn(BATCH, LENGTH, WIDTH)
    ids = torch.randint(VOCABULARY, (BATCH, LENGTH))
    loss, optimizer = SequenceLoss(adapted, partial(autocast, CPU, "fp32")), adam(adapted, wanted)
    with Count() as count:
        count.see(all_tensors(adapted))
        held = count.held
        for _ in range(2):
            count.forget_peak()
            loss(ids, BATCH, 1 / ids.numel())[1].backward()
            optimizer.step()
            optimizer.zero_grad()
    passing = count.peak - held - found.optimiser + BATCH * found.states
    assert passing <= 1.02 * found.update
    assert found.update < 1.5 * passing


def test_the_same_layers_are_quantized(folder: str) -> None:
    config = load_config(folder)
    model = load_model(folder, device=CPU, dtype=torch.float32)
    kinds = (bitsandbytes.nn.Linear4bit, bitsandbytes.nn.Linear8bitLt)
    real = [name for name, layer in model.named_modules() if isinstance(layer, kinds)]
    plain = skeleton(config, torch.float32, CPU)
    planned = {id(layer) for layer in quantized_layers(plain, config)}
    assert [name for name, layer in plain.named_modules() if id(layer) in planned] == real
    assert len(real) == 7 * BLOCKS
    assert scheme_of(config)
    assert quantized_layers(plain, load_config(str(Path(folder).parent / "whole"))) == []


def test_only_what_can_be_trained_is_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = save_tiny(tmp_path / "whole", hidden_size=WIDTH, intermediate_size=MLP)
    folder = str(save_quantized(whole, tmp_path / "quantized", **SCHEMES["NF4"]))
    main(["plan", folder, "--length", "32", "--samples", "10", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert [(one["method"], one["streaming"]) for one in found["options"]] == [("late-lora", False), ("lora", False)]
    main(["plan", str(whole), "--length", "32", "--samples", "10", "--method", "late-lora", "--json"])
    plain = json.loads(capsys.readouterr().out)
    assert plain["left_out"] == ""
    assert found["options"][0]["weights"] < 0.6 * plain["options"][0]["weights"]
    main(["plan", folder, "--length", "32"])
    line = "late-full, full and --streaming are left out: quantized weights cannot learn, nor be read block by block"
    assert line in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["plan", folder, "--method", "full"])
    assert "--method full: the weights of" in capsys.readouterr().err


def test_bytes_that_are_not_known_are_not_guessed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = save_tiny(tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "gptq", "bits": 4, "group_size": 128}
    (folder / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("hyperfit.models.loading.check_quantization", lambda name, config: None)
    with pytest.raises(SystemExit):
        main(["plan", str(folder)])
    assert (
        f"MODEL {folder}: its weights are quantized by gptq, and what they take is known of" in capsys.readouterr().err
    )
