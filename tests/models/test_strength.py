"""The dial of what training changed: the base at 0, the model at 1, straight in between; adapters and weights."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.models.loading import load_model
from hyperfit.models.strength import scale_change
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.train import train
from small_runs import quiet, recipe_for
from tiny_models import tiny_model

CPU = torch.device("cpu")
IDS = torch.arange(1, 13)[None]


@pytest.fixture(scope="module", params=["late-lora", "late-full", "full"])
def run(request: pytest.FixtureRequest, world: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    late: dict[str, Any] = {} if request.param != "full" else {"late_blocks": None}
    recipe = recipe_for(world, method=request.param, epochs=4, **late)
    return train(recipe, tmp_path_factory.mktemp("strength") / "run", notify=quiet)


def logits(model: Any) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(input_ids=IDS).logits)


def at(run: RunDir, strength: float) -> torch.Tensor:
    return logits(load_any(str(run.path), device=CPU, strength=strength))


def test_at_1_it_is_the_model_and_at_0_the_base(run: RunDir) -> None:
    base = logits(load_model(run.recipe.model, device=CPU, dtype=torch.float32))
    assert torch.equal(at(run, 1.0), logits(load_any(str(run.path), device=CPU)))
    torch.testing.assert_close(at(run, 0.0), base, rtol=0, atol=1e-5)
    assert not torch.allclose(at(run, 1.0), base, atol=1e-3), "training has changed something"


def test_in_between_every_weight_is_in_between(run: RunDir) -> None:
    if run.recipe.adapters:
        model = load_any(str(run.path), device=CPU, strength=0.25).merge_and_unload()  # type: ignore[operator]
        whole = load_any(str(run.path), device=CPU).merge_and_unload()  # type: ignore[operator]
    else:
        model, whole = load_any(str(run.path), device=CPU, strength=0.25), load_any(str(run.path), device=CPU)
    base = dict(load_model(run.recipe.model, device=CPU, dtype=torch.float32).named_parameters())
    for name, weight in whole.named_parameters():
        expected = base[name] + 0.25 * (weight - base[name])
        torch.testing.assert_close(dict(model.named_parameters())[name], expected, rtol=1e-5, atol=1e-6)


def test_a_model_without_a_base_has_no_change_to_scale(world: tuple[str, str]) -> None:
    with pytest.raises(UserError, match=r"--strength: scales what training changed, and this model is neither"):
        scale_change(tiny_model(), 0.5, lambda: None)
    with pytest.raises(SystemExit) as ended:
        main(["generate", world[0], "--prompt", "the horse", "--strength", "0.5"])
    assert ended.value.code == 2


def test_generate_takes_it_and_says_it(run: RunDir, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--prompt", "the horse went", "--new-tokens", "8", "--json"]
    main(["generate", str(run.path), *flags, "--strength", "0"])
    none = json.loads(capsys.readouterr().out)
    main(["generate", run.recipe.model, *flags])
    base = json.loads(capsys.readouterr().out)
    assert none["continuation"] == base["continuation"]
    assert none["strength"] == 0
    assert "strength" not in base


@pytest.mark.parametrize("wrong", ["-0.5", "11", "nan"])
def test_a_strength_that_is_none_is_refused(
    run: RunDir, wrong: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["generate", str(run.path), "--prompt", "the horse", f"--strength={wrong}"])
    assert ended.value.code == 2
    assert "give a number from 0 to 10" in capsys.readouterr().err
