"""When a model reads the prefix cache, and when not: refused where it would change a number."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt
from hyperfit.models.structure.layout import blocks_of, inner_model
from hyperfit.prefix.bypass import obstacle
from hyperfit.prefix.cache_prefix import cache_prefix
from hyperfit.recipes.recipe import Recipe
from small_caches import SEQUENCES, adapted
from tiny_models import random_ids, tiny_model


@dataclasses.dataclass
class Refusal:
    family: str
    changes: dict[str, Any]
    spoil: Callable[[Any], object]
    reason: str


def drop_out(model: Any) -> None:
    model.train()


def learn_embedding(model: Any) -> None:
    model.get_input_embeddings().weight.requires_grad_(True)


REFUSALS = {
    "dropout": Refusal("gpt2", {"resid_pdrop": 0.1}, drop_out, r"drops out at random \(0.1\)"),
    "embedding": Refusal("llama", {}, learn_embedding, "embed_tokens.weight learns, below the first block"),
    "per-layer inputs": Refusal(
        "llama", {}, lambda m: setattr(inner_model(m).config, "hidden_size_per_layer_input", 8), "into every block"
    ),
    "shared keys": Refusal(
        "llama", {}, lambda m: setattr(inner_model(m).config, "num_kv_shared_layers", 2), "share keys and values"
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_model_that_breaks_a_condition_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    case = REFUSALS[name]
    model = adapt(tiny_model(case.family, **case.changes), Recipe(model="-", data="-", rank=4, late_blocks=2)).eval()
    assert obstacle(model, 4) is None
    case.spoil(model)
    with pytest.raises(UserError, match=f"the prefix cannot be cached: .*{case.reason}"):
        cache_prefix(model, SEQUENCES, tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_adapter_below_the_cut_is_refused(tmp_path: Path) -> None:
    model = adapt(tiny_model(), Recipe(model="-", data="-", rank=4, method="lora")).eval()
    for block in blocks_of(inner_model(model))[:4]:
        block.requires_grad_(False)
    with pytest.raises(UserError, match="has an adapter, below the first block that learns"):
        cache_prefix(model, SEQUENCES, tmp_path)


def test_what_changes_below_the_cut_later_is_computed(tmp_path: Path) -> None:
    model = adapted(resid_pdrop=0.1, family="gpt2")
    cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    blocks = blocks_of(inner_model(model))
    for change, undo in (
        (lambda: blocks[0].train(), lambda: blocks[0].eval()),
        (lambda: blocks[0].requires_grad_(True), lambda: blocks[0].requires_grad_(False)),
    ):
        change()
        model(input_ids=SEQUENCES, use_cache=False)
        assert cache.served == 0
        undo()
    model(input_ids=SEQUENCES, use_cache=False)
    assert cache.served == 1


def test_a_second_cache_takes_the_place_of_the_first(tmp_path: Path) -> None:
    """Cut at block 4, then at 3: the second is filled by the model, not from the first."""
    plain, model = tiny_model(), tiny_model().requires_grad_(False)
    blocks_of(model)[4:].requires_grad_(True)
    first = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    blocks_of(model)[3].requires_grad_(True)
    third = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=lambda line: None)
    assert (first.blocks, third.blocks) == (4, 3)
    with torch.no_grad():
        hidden = plain(input_ids=SEQUENCES, output_hidden_states=True, use_cache=False).hidden_states[3]
    rows = third.rows.find(SEQUENCES)
    assert rows is not None
    torch.testing.assert_close(third.states.read(rows), hidden)
    first.detach()
    assert third.rows.find(SEQUENCES) is not None
    third.detach()
    third.detach()
    assert not any("forward" in vars(module) for module in third.bypass.model.modules())


def test_dropout_above_the_cut_is_no_obstacle() -> None:
    model = adapt(tiny_model("gpt2", resid_pdrop=0.1), Recipe(model="-", data="-", rank=4, late_blocks=2)).eval()
    blocks_of(inner_model(model))[-2:].train()
    assert obstacle(model, 4) is None
    blocks_of(inner_model(model))[3].train()
    assert obstacle(model, 4)


def test_other_sequences_and_padded_ones_are_computed(tmp_path: Path) -> None:
    said: list[str] = []
    model, plain = adapted(), tiny_model()
    cache = cache_prefix(model, SEQUENCES, tmp_path, batch_size=4, notify=said.append)
    mask = torch.ones_like(SEQUENCES)
    mask[0, :3] = 0
    other = random_ids(6, 16, seed=99)
    given: list[dict[str, Any]] = [
        {"input_ids": SEQUENCES, "use_cache": False, "output_hidden_states": True},
        {"input_ids": SEQUENCES, "attention_mask": mask, "use_cache": False},
        {"input_ids": SEQUENCES[:, :9], "use_cache": False},
        {"input_ids": SEQUENCES, "use_cache": True},
        {"input_ids": SEQUENCES, "position_ids": torch.arange(16)[None] + 3, "use_cache": False},
        {"input_ids": other, "use_cache": False},
    ]
    with torch.no_grad():
        for arguments in given:
            assert torch.equal(model(**arguments).logits, plain(**arguments).logits)
        assert cache.served == 0
        assert sum("not in the prefix cache" in line for line in said) == 1
        assert torch.equal(
            model.generate(SEQUENCES[:, :5], max_new_tokens=6), plain.generate(SEQUENCES[:, :5], max_new_tokens=6)
        )
        assert cache.served == 0
        model(input_ids=SEQUENCES, attention_mask=torch.ones_like(SEQUENCES), use_cache=False)
        assert cache.served == 1
