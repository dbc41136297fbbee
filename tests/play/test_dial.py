"""The strength of the playground's hyperfitted side beside models loaded at that strength."""

from pathlib import Path

import pytest
import torch

from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import inner_model
from hyperfit.play.tokens.dial import Dial
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from small_evaluations import runs_to_evaluate
from tiny_models import random_ids

CPU = torch.device("cpu")
IDS = random_ids(1, 12)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return runs_to_evaluate(tmp_path_factory.mktemp("runs"))


def logits(model: object) -> torch.Tensor:
    with torch.no_grad():
        return inner_model(model)(input_ids=IDS).logits  # type: ignore[arg-type, no-any-return]


def side(dial: Dial, strength: float, which: str) -> torch.Tensor:
    with dial.at(strength).side(which) as model:  # type: ignore[arg-type]
        return logits(model)


@pytest.mark.parametrize("method", ["late-lora", "full"])
def test_every_strength_is_that_of_a_model_loaded_so(runs: Path, method: str) -> None:
    run = runs / method
    dial = Dial(run, device=CPU, precision="fp32")
    assert dial.turns
    base = logits(load_model(RunDir(run).recipe.model, device=CPU, dtype=torch.float32))
    for strength in (1.0, 0.5, 0.0, 2.0, 1.0):
        found = side(dial, strength, "tuned")
        assert torch.equal(found, logits(load_any(str(run), device=CPU, strength=strength)))
        assert torch.equal(side(dial, strength, "base"), base)
        assert torch.allclose(found, base, atol=1e-5) == (strength == 0)
