"""One number of parameters for a model, whatever is trained on it."""

import re
from pathlib import Path

import pytest

from hyperfit.models.adapt import adapt, learning
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.parameters import own_parameters
from tiny_models import tiny_model

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("method", ["late-lora", "late-full", "lora", "full"])
def test_a_model_has_as_many_parameters_whatever_learns(method: str) -> None:
    model = tiny_model()
    recipe = Recipe(model="m", data="d", method=method, rank=4)  # type: ignore[arg-type]
    own = sum(parameter.numel() for parameter in model.parameters())
    counted = learning(adapt(model, recipe))
    assert counted.own == own
    assert own_parameters(recipe, {"parameters": counted.total, "trainable_parameters": counted.trainable}) == own
    assert f"{own:,}" in counted.describe()


def test_the_embedded_model_is_told_to_have_what_it_has() -> None:
    from safetensors import safe_open

    folder = ROOT / "src/hyperfit/models/builtin/tiny"
    with safe_open(str(folder / "model.safetensors"), "pt") as weights:
        count = sum(weights.get_tensor(name).numel() for name in weights.keys())  # noqa: SIM118
    assert f"{count / 1e6:.1f}" == "11.7"
    for file in (ROOT / "README.md", ROOT / "src/hyperfit/commands/demo.py", folder / "README.md"):
        told = re.findall(r"([\d.]+)[ -]million[ -]parameter", file.read_text(encoding="utf-8"))
        assert set(told) == {"11.7"}, file
