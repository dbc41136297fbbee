"""A base and a tuned model side by side: what they share, and that each side computes as if alone."""

from pathlib import Path

import pytest
import torch

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.pair import Pair, load_pair
from hyperfit.models.adapt import adapt
from hyperfit.recipes.recipe import Precision, Recipe
from hyperfit.training.train import train
from small_runs import quiet, recipe_for
from tiny_models import random_ids, save_tiny, tiny_model

CPU = torch.device("cpu")
IDS = random_ids(2, 12)


def save_adapter(base: Path, folder: Path, late_blocks: int = 2) -> Path:
    model = adapt(tiny_model(), Recipe(model=str(base), data="-", rank=4, late_blocks=late_blocks))
    generator = torch.Generator().manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(0, 0.1, generator=generator)
    model.peft_config["default"].base_model_name_or_path = str(base)  # type: ignore[union-attr]
    model.save_pretrained(folder)
    return folder


def test_an_adapter_is_one_model_with_two_sides(tmp_path: Path) -> None:
    base = save_tiny(tmp_path / "base")
    pair = load_pair(str(base), str(save_adapter(base, tmp_path / "adapter")), device=CPU)
    assert pair.base is None
    assert pair.shared_blocks == pair.depth - 2
    with pair.side("tuned") as model, torch.no_grad():
        tuned = model(input_ids=IDS).logits
    with pair.side("base") as model, torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, tiny_model()(input_ids=IDS).logits)
    with pair.side("tuned") as model, torch.no_grad():
        assert torch.equal(model(input_ids=IDS).logits, tuned)
    assert not torch.equal(tuned, tiny_model()(input_ids=IDS).logits)


@pytest.mark.parametrize(("part", "shared"), [("model.layers.3.mlp", 3), ("model.embed_tokens", 0), ("model.norm", 6)])
def test_whole_models_share_the_blocks_below_the_first_difference(part: str, shared: int) -> None:
    base, tuned = tiny_model(tie_word_embeddings=False), tiny_model(tie_word_embeddings=False)
    next(tuned.get_submodule(part).parameters()).data.add_(0.01)
    assert Pair(base, tuned).shared_blocks == shared


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_of_whole_late_blocks_shares_those_below_and_their_memory(
    world: tuple[str, str], tmp_path: Path, precision: Precision
) -> None:
    run = train(recipe_for(world, method="late-full", epochs=1), tmp_path / "run", notify=quiet)
    pair = load_pair(world[0], str(run.path), device=CPU, precision=precision)
    assert pair.base is not None
    assert pair.shared_blocks == pair.depth - 2
    for name, parameter in pair.base.named_parameters():
        late = name.startswith(("model.norm.", "model.layers.4.", "model.layers.5."))
        other = pair.tuned.get_parameter(name)
        assert (other.data_ptr() == parameter.data_ptr()) == (not late)
        assert other.dtype == (torch.float32 if late else parameter.dtype)


def test_the_same_model_twice_shares_everything() -> None:
    pair = Pair(tiny_model(), tiny_model())
    assert pair.shared_blocks == pair.depth


def test_models_of_different_shape_are_no_pair(tmp_path: Path) -> None:
    one, two = save_tiny(tmp_path / "one"), save_tiny(tmp_path / "two", "qwen2")
    with pytest.raises(UserError, match="model_type llama and qwen2"):
        load_pair(str(one), str(two), device=CPU)
