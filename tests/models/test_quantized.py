"""Bases of 4 and 8 bits: adapters get the gradients that the weights written out give; the cache is exact."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn
from transformers import AutoConfig

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, learning
from hyperfit.models.devices import autocast
from hyperfit.models.files.classes import model_class
from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import inner_model
from hyperfit.prefix.bypass import frozen_blocks, obstacle
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import train
from small_runs import assert_same, events, quiet, recipe_for, write_texts
from tiny_models import random_ids, save_tiny
from tiny_quantized import save_4bit, save_8bit

bitsandbytes = pytest.importorskip("bitsandbytes")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny Llama of 4 bits, and texts."""
    folder = tmp_path_factory.mktemp("quantized")
    save_tiny(folder / "whole", hidden_size=64, intermediate_size=128)
    texts = write_texts(folder / "texts.jsonl", 20, 0)
    return str(save_4bit(folder / "whole", folder / "model")), str(texts)


def plain(model: nn.Module) -> nn.Module:
    """The model with its 4-bit layers written out."""
    for name, layer in list(model.named_modules()):
        if isinstance(layer, bitsandbytes.nn.Linear4bit):
            weights = bitsandbytes.functional.dequantize_4bit(layer.weight.data, layer.weight.quant_state)
            written = nn.Linear(layer.in_features, layer.out_features, bias=False)
            written.weight = nn.Parameter(weights.float(), requires_grad=False)
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, written)
    return model


def test_gradients_are_those_of_the_weights_written_out(made: tuple[str, str]) -> None:
    recipe, ids, found = recipe_for(made, late_blocks=3), random_ids(3, 20), []
    for written_out in (False, True):
        model = load_model(made[0], device=CPU, dtype=torch.float32)
        if written_out:
            plain(model)
        adapted = adapt(model, recipe).eval()
        loss_of = SequenceLoss(adapted, lambda: autocast(CPU, "fp32"))
        with torch.no_grad():
            loss_of(ids)  # reading before training is what packs the weights anew where nothing keeps it from that
        learned = [p for p in adapted.parameters() if p.requires_grad]
        with torch.no_grad():
            for number, weights in enumerate(learned):  # B begins at zero, and A would get no gradient
                weights.copy_(torch.randn(weights.shape, generator=torch.Generator().manual_seed(number)) * 0.1)
        total, part = loss_of(ids)
        found.append((total, torch.autograd.grad(part, learned)))
    (loss, gradients), (right, wanted) = found
    torch.testing.assert_close(loss, right, rtol=1e-4, atol=1e-4)
    for one, other in zip(gradients, wanted, strict=True):
        assert other.abs().max() > 0
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2 * float(other.abs().max()))


def test_a_run_on_4_bits(made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cached bit for bit; the base stays as it is; the result is a plain adapter that every command reads."""
    told: list[str] = []
    recipe = recipe_for(made, lr=2e-2, epochs=4)
    run = train(recipe, tmp_path / "with", prefix_cache="required", notify=told.append)
    train(recipe, tmp_path / "without", prefix_cache="off", notify=quiet)
    assert_same(tmp_path / "with", tmp_path / "without")
    losses = [row["train_loss"] for row in events(run.path) if row["event"] == "epoch"][1:]
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]
    whole = load_model(str(Path(made[0]).parent / "whole"), device=CPU, dtype=torch.float32)
    assert run.environment["parameters"] == sum(p.numel() for p in whole.parameters())
    model = load_any(str(run.path), device=CPU)
    layers = [one for one in inner_model(model).modules() if isinstance(one, bitsandbytes.nn.Linear4bit)]
    assert len(layers) == 6 * 7
    assert learning(model).blocks == ()
    main(["generate", str(run.path), "--prompt", "the horse", "--new-tokens", "5", "--json"])
    assert json.loads(capsys.readouterr().out)["prompt"] == "the horse"


@pytest.fixture(scope="module")
def eight(made: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The same Llama in 8 bits, no column computed apart."""
    whole = Path(made[0]).parent / "whole"
    return str(save_8bit(whole, tmp_path_factory.mktemp("8bit") / "model", 0.0)), made[1]


def test_a_run_on_8_bits(eight: tuple[str, str], tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Cached bit for bit, learned above, and without a line of bitsandbytes for every product."""
    recipe = recipe_for(eight, lr=2e-2, epochs=4)
    run = train(recipe, tmp_path / "with", prefix_cache="required", notify=quiet)
    train(recipe, tmp_path / "without", prefix_cache="off", notify=quiet)
    assert_same(tmp_path / "with", tmp_path / "without")
    losses = [row["train_loss"] for row in events(run.path) if row["event"] == "epoch"][1:]
    assert losses[-1] < 0.7 * losses[0]  # type: ignore[operator]
    assert "MatMul8bitLt" not in capfd.readouterr().err
    layers = list(load_model(eight[0], device=CPU, dtype=torch.float32).modules())
    assert sum(isinstance(one, bitsandbytes.nn.Linear8bitLt) for one in layers) == 6 * 7


def test_8_bits_with_outliers_apart_are_refused(made: tuple[str, str], tmp_path: Path) -> None:
    """For what they do: a token changes what is expected before it, and another text of the batch does."""
    folder = save_8bit(Path(made[0]).parent / "whole", tmp_path / "model", 6.0)
    model = model_class(AutoConfig.from_pretrained(folder)).from_pretrained(folder, dtype=torch.float32).eval()
    ids = random_ids(2, 20)
    with torch.no_grad():
        alone, cut, together = (model(input_ids=some).logits[0, :12] for some in (ids[:1], ids[:1, :12], ids))
    assert min(float((alone - other).abs().max()) for other in (cut, together)) > 0.01
    with pytest.raises(
        UserError, match=r"8 bits with llm_int8_threshold 6; .*set llm_int8_threshold to 0.0 in its con"
    ):
        train(recipe_for((str(folder), made[1])), tmp_path / "run", notify=quiet)
    assert not (tmp_path / "run").exists()
    adapted = adapt(model, recipe_for((str(folder), made[1])))
    reason = obstacle(adapted, frozen_blocks(adapted))
    assert reason is not None
    assert reason.startswith("its weights are in 8 bits with llm_int8_threshold 6")
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"]["llm_int8_threshold"] = 0.0
    (folder / "config.json").write_text(json.dumps(config))
    train(recipe_for((str(folder), made[1]), epochs=1), tmp_path / "run", notify=quiet)


def test_what_cannot_be_done_with_them_is_said(made: tuple[str, str], tmp_path: Path) -> None:
    refused = {
        "late-full": ["--method late-full: the weights of", "cannot learn; give late-lora or lora"],
        "full": ["--method full: the weights of"],
    }
    for method, parts in refused.items():
        with pytest.raises(Exception, match="quantized") as caught:
            train(recipe_for(made, method=method), tmp_path / method, notify=quiet)
        assert all(part in str(caught.value) for part in parts)
        assert not (tmp_path / method).exists()
    with pytest.raises(Exception, match="--streaming: reads plain weights"):
        train(recipe_for(made), tmp_path / "streaming", streaming=True, notify=quiet)


def test_merging_them_is_refused(made: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run: RunDir = train(recipe_for(made, epochs=1), tmp_path / "run", notify=quiet)
    small = ["--most-contexts", "2", "--context", "8", "--new-tokens", "4"]
    with pytest.raises(SystemExit):
        main(["export", str(run.path), "--form", "merged", "-o", str(tmp_path / "merged"), *small])
    assert "has quantized weights, to which nothing is added; give --form adapter" in capsys.readouterr().err
    main(["export", str(run.path), "--form", "adapter", "-o", str(tmp_path / "adapter"), *small])
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()
