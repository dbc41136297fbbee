"""Adaptation: what is meant to learn learns, nothing else moves, and the adapter is plain PEFT."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from torch import Tensor, nn

from hyperfit.errors import UserError
from hyperfit.models.adapt import (
    Learning,
    adapt,
    check_depth,
    late_parameters,
    late_stage_lora_config,
    learning,
    round_frozen,
)
from hyperfit.models.loading import quiet
from hyperfit.models.targets import linear_layers
from hyperfit.recipes.recipe import Recipe
from tiny_models import BLOCKS, FAMILIES, PATHS, cast, random_ids, tiny_model

RANK = 4

# a block's linear layers and their (inputs, outputs): width 32, 4 heads of 8, 2 of them for keys and values, inner 64
GROUPED = {
    "self_attn.q_proj": (32, 32),
    "self_attn.k_proj": (32, 16),
    "self_attn.v_proj": (32, 16),
    "self_attn.o_proj": (32, 32),
    "mlp.gate_proj": (32, 64),
    "mlp.up_proj": (32, 64),
    "mlp.down_proj": (64, 32),
}
LAYERS: dict[str, dict[str, tuple[int, int]]] = {
    **dict.fromkeys(("llama", "mistral", "qwen2", "qwen3", "gemma", "gemma2", "gemma3_text", "olmo2"), GROUPED),
    "phi3": {
        "self_attn.o_proj": (32, 32),
        "self_attn.qkv_proj": (32, 64),
        "mlp.gate_up_proj": (32, 128),
        "mlp.down_proj": (64, 32),
    },
    "phi": {
        **{f"self_attn.{name}": (32, 32) for name in ("q_proj", "k_proj", "v_proj", "dense")},
        "mlp.fc1": (32, 64),
        "mlp.fc2": (64, 32),
    },
    "gpt2": {"attn.c_attn": (32, 96), "attn.c_proj": (32, 32), "mlp.c_fc": (32, 64), "mlp.c_proj": (64, 32)},
    "gpt_neox": {
        "attention.query_key_value": (32, 96),
        "attention.dense": (32, 32),
        "mlp.dense_h_to_4h": (32, 64),
        "mlp.dense_4h_to_h": (64, 32),
    },
    "opt": {
        **{f"self_attn.{name}": (32, 32) for name in ("k_proj", "v_proj", "q_proj", "out_proj")},
        "fc1": (32, 64),
        "fc2": (64, 32),
    },
}
# per rank: the sums of inputs and outputs above, so 32+32 + 32+16 + 32+16 + 32+32 + 96 + 96 + 96 for the first
# what else a block holds: norms of width 32, those of queries and keys, and biases
OTHERS = {
    **dict.fromkeys(("llama", "mistral", "gemma", "phi3"), 2 * 32),
    "qwen2": 2 * 32 + 32 + 16 + 16,
    "qwen3": 2 * 32 + 8 + 8,
    "gemma2": 4 * 32,
    "gemma3_text": 4 * 32 + 8 + 8,
    "olmo2": 2 * 32 + 32 + 16,
    "phi": 2 * 32 + 4 * 32 + 64 + 32,
    "gpt2": 4 * 32 + 96 + 32 + 64 + 32,
    "gpt_neox": 4 * 32 + 96 + 32 + 64 + 32,
    "opt": 4 * 32 + 4 * 32 + 64 + 32,
}
BIASED = ("phi", "gpt2", "gpt_neox", "opt")
"""Families whose final norm has a bias beside its weight."""
PER_RANK = {**dict.fromkeys(LAYERS, 512), "phi3": 416, "phi": 448, "gpt2": 384, "gpt_neox": 384, "opt": 448}


def recipe(**settings: Any) -> Recipe:
    return Recipe(model="tiny", data="none", **{"rank": RANK, **settings})


METHODS = [
    pytest.param({"method": "full"}, range(BLOCKS), id="full"),
    pytest.param({"method": "lora"}, range(BLOCKS), id="lora"),
    *(
        pytest.param({"method": "late-lora", "late_blocks": depth}, range(BLOCKS - depth, BLOCKS), id=f"late {depth}")
        for depth in (1, 2, BLOCKS)
    ),
    *(
        pytest.param(
            {"method": "late-full", "late_blocks": depth}, range(BLOCKS - depth, BLOCKS), id=f"late {depth} whole"
        )
        for depth in (1, 2, BLOCKS)
    ),
    pytest.param({"method": "lora", "blocks": (0, 1)}, range(2), id="the first two"),
    pytest.param({"method": "lora", "blocks": (1,)}, range(1, 2), id="one in the middle"),
]
"""Every way to adapt, with the blocks it is meant to touch."""

every_method = pytest.mark.parametrize(("settings", "blocks"), METHODS)
every_family = pytest.mark.parametrize("family", FAMILIES)


def intended(family: str, model: nn.Module, settings: dict[str, Any], blocks: range) -> set[str]:
    """Names of the parameters that should learn, from the table above."""
    if settings["method"] == "full":
        return {name for name, _ in model.named_parameters()}
    if settings["method"] == "late-full":
        late = (PATHS[family].norm, *(f"{PATHS[family].blocks}.{block}." for block in blocks))
        return {name for name, _ in model.named_parameters() if name.startswith(late)}
    return {
        f"base_model.model.{PATHS[family].blocks}.{block}.{layer}.lora_{matrix}.default.weight"
        for block in blocks
        for layer in LAYERS[family]
        for matrix in "AB"
    }


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """Copies of all parameters and buffers."""
    return {name: tensor.detach().clone() for name, tensor in (*model.named_parameters(), *model.named_buffers())}


def changed(model: nn.Module, before: dict[str, Tensor]) -> set[str]:
    """Names of the tensors of which any bit has changed."""
    after = snapshot(model)
    assert after.keys() == before.keys()
    return {name for name in after if not torch.equal(after[name], before[name])}


def optimise(model: nn.Module, steps: int) -> None:
    """Real steps on the loss of a few texts, as the training loop takes them."""
    optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=1e-2, weight_decay=0)
    for step in range(steps):
        ids = random_ids(4, 24, seed=step)
        model(input_ids=ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()


@every_family
@every_method
def test_what_is_meant_to_learn_learns_and_nothing_else_moves(
    family: str, settings: dict[str, Any], blocks: range
) -> None:
    model = adapt(tiny_model(family), recipe(**settings)).eval()
    wanted = intended(family, model, settings, blocks)
    assert {name for name, parameter in model.named_parameters() if parameter.requires_grad} == wanted
    before = snapshot(model)
    optimise(model, 1)
    # while B is zero no gradient reaches A
    assert changed(model, before) == {name for name in wanted if "lora_A" not in name}
    optimise(model, 1)
    assert changed(model, before) == wanted


@every_family
@every_method
def test_counts_are_those_worked_by_hand(family: str, settings: dict[str, Any], blocks: range) -> None:
    base = tiny_model(family)
    before = sum(parameter.numel() for parameter in base.parameters())
    counted = learning(adapt(base, recipe(**settings)))
    if settings["method"] == "full":
        trainable, adapters = before, False
    elif settings["method"] == "late-full":
        block = sum(inputs * outputs for inputs, outputs in LAYERS[family].values()) + OTHERS[family]
        trainable, adapters = len(blocks) * block + (64 if family in BIASED else 32), False
    else:
        trainable, adapters = PER_RANK[family] * RANK * len(blocks), True
    expected = Learning(blocks=tuple(blocks), depth=BLOCKS, trainable=trainable, total=before, adapters=adapters)
    assert counted == expected


@every_family
def test_linear_layers_of_the_blocks(family: str) -> None:
    assert sum(inputs + outputs for inputs, outputs in LAYERS[family].values()) == PER_RANK[family]
    assert set(linear_layers(tiny_model(family))) == {path.rpartition(".")[2] for path in LAYERS[family]}


@every_family
def test_adapted_model_starts_as_the_base_model(family: str) -> None:
    ids = random_ids(2, 20)
    adapted = adapt(tiny_model(family), recipe())
    assert torch.equal(adapted(input_ids=ids).logits, tiny_model(family)(input_ids=ids).logits)


@every_family
def test_adapters_are_fp32_on_a_bf16_model(family: str) -> None:
    model = adapt(cast(tiny_model(family), torch.bfloat16), recipe())
    kinds = {(parameter.requires_grad, parameter.dtype) for parameter in model.parameters()}
    assert kinds == {(True, torch.float32), (False, torch.bfloat16)}
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=random_ids(1, 8)).logits.float().logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


def test_full_training_holds_everything_in_fp32() -> None:
    model = adapt(cast(tiny_model(), torch.bfloat16), recipe(method="full"))
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@every_family
def test_late_blocks_learn_in_fp32_on_a_bf16_model(family: str) -> None:
    """Embedding and head stay as they are, tied or not; what learns under autocast gets gradients in fp32."""
    model = adapt(tiny_model(family), recipe(method="late-full", late_blocks=2))
    round_frozen(model)
    assert {(p.requires_grad, p.dtype) for p in model.parameters()} == {(True, torch.float32), (False, torch.bfloat16)}
    for ends in (model.get_input_embeddings(), model.get_output_embeddings()):
        assert not any(p.requires_grad for p in ends.parameters())
    late = late_parameters(tiny_model(family), 2)
    assert all(torch.equal(p, late[name]) for name, p in model.named_parameters() if p.requires_grad), "not rounded"
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=random_ids(1, 8)).logits.float().logsumexp(-1).sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in model.parameters() if p.requires_grad)


def test_full_training_thaws_what_was_frozen() -> None:
    model = adapt(tiny_model().requires_grad_(False), recipe(method="full"))
    assert all(parameter.requires_grad for parameter in model.parameters())


@every_family
def test_saved_adapter_is_plain_peft(family: str, tmp_path: Path) -> None:
    model = adapt(tiny_model(family), recipe(late_blocks=2)).eval()
    optimise(model, 2)
    model.save_pretrained(str(tmp_path))
    ids = random_ids(2, 20)
    with torch.no_grad(), quiet():
        expected = model(input_ids=ids).logits
        fresh = PeftModel.from_pretrained(tiny_model(family), str(tmp_path)).eval()
        assert torch.equal(fresh(input_ids=ids).logits, expected)
        assert not torch.allclose(tiny_model(family)(input_ids=ids).logits, expected, atol=1e-2)
        merged = fresh.merge_and_unload()
        assert torch.allclose(merged(input_ids=ids).logits, expected, atol=1e-4)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert config["layers_to_transform"] == [BLOCKS - 2, BLOCKS - 1]
    assert config["layers_pattern"] == PATHS[family].blocks.split(".")[-1]
    assert set(config["target_modules"]) == {path.rpartition(".")[2] for path in LAYERS[family]}
    assert (config["peft_type"], config["task_type"]) == ("LORA", "CAUSAL_LM")
    assert (config["r"], config["lora_alpha"], config["lora_dropout"]) == (RANK, RANK, 0)
    assert config["bias"] == "none"
    assert not config["modules_to_save"]
    assert not config["use_rslora"]
    assert not config["use_dora"]
    assert len(load_file(tmp_path / "adapter_model.safetensors")) == 2 * 2 * len(LAYERS[family])


@every_family
def test_config_for_other_peoples_code(family: str) -> None:
    config = late_stage_lora_config(tiny_model(family), 3, rank=8)
    assert config.layers_to_transform == [3, 4, 5]
    assert (config.r, config.lora_alpha) == (8, 8)
    assert config.modules_to_save is None
    assert late_stage_lora_config(tiny_model(family)).layers_to_transform == [1, 2, 3, 4, 5]


def adapters(model: nn.Module) -> list[Tensor]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def test_adapters_start_as_the_seed_says() -> None:
    one = adapters(adapt(tiny_model(), recipe(seed=1)))
    torch.rand(3)
    same, other = (adapters(adapt(tiny_model(), recipe(seed=seed))) for seed in (1, 2))
    assert all(map(torch.equal, one, same))
    assert not all(map(torch.equal, one, other))


@pytest.mark.parametrize("method", ["lora", "late-lora"])
@pytest.mark.parametrize(("alpha", "scale"), [(None, 1), (2.0, 0.5), (10.0, 2.5)])
def test_adapter_adds_its_matrices_times_alpha_over_rank(method: str, alpha: float | None, scale: float) -> None:
    model = adapt(tiny_model(), recipe(method=method, alpha=alpha))
    assert isinstance(model, PeftModel)
    layer: Any = model.get_base_model().get_submodule(f"model.layers.{BLOCKS - 1}.mlp.down_proj")
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    nn.init.ones_(b)
    into = torch.randn(3, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(layer(into), layer.base_layer(into) + scale * into @ a.T @ b.T, atol=1e-5)


def test_layers_can_be_chosen() -> None:
    model = adapt(tiny_model(), recipe(late_blocks=1, target_modules=("q_proj", "down_proj")))
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names == {
        f"base_model.model.model.layers.5.{layer}.lora_{matrix}.default.weight"
        for layer in ("self_attn.q_proj", "mlp.down_proj")
        for matrix in "AB"
    }


@pytest.mark.parametrize("method", ["lora", "late-lora"])
def test_unknown_layers_are_named_beside_those_there_are(method: str) -> None:
    with pytest.raises(UserError) as caught:
        adapt(tiny_model(), recipe(method=method, target_modules=("q_proj", "c_attn", "lm_head")))
    (problem,) = caught.value.problems
    assert problem.startswith("--target-modules c_attn lm_head: ")
    assert "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj" in problem


@pytest.mark.parametrize("blocks", [-1, 0, BLOCKS + 1])
def test_depth_the_model_does_not_have(blocks: int) -> None:
    with pytest.raises(UserError, match=f"--late-blocks {blocks}: the model has 6 blocks; give 1 to 6"):
        late_stage_lora_config(tiny_model(), blocks)


def test_depth_is_checked_before_weights_are_read() -> None:
    check_depth(recipe(late_blocks=6), depth=6)
    check_depth(recipe(method="lora", late_blocks=99), depth=6)
    check_depth(recipe(method="full", late_blocks=99), depth=6)
    with pytest.raises(UserError, match="--late-blocks 7: tiny has 6 blocks; give 1 to 6"):
        check_depth(recipe(late_blocks=7), depth=6)
    with pytest.raises(UserError, match="--late-blocks 7: tiny has 6 blocks"):
        check_depth(recipe(method="late-full", late_blocks=7), depth=6)
    with pytest.raises(UserError, match="--late-blocks 0"):
        recipe(late_blocks=0)
    check_depth(recipe(method="lora", blocks=(5, 0)), depth=6)
    with pytest.raises(UserError, match="--blocks 6 9: tiny has the blocks 0 to 5"):
        check_depth(recipe(method="lora", blocks=(9, 2, 6)), depth=6)


def test_a_model_has_one_number_of_parameters() -> None:
    """Whatever learns beside them; a shared weight once."""
    own = sum(p.numel() for p in tiny_model().parameters())
    for method in ("late-lora", "late-full", "lora", "full"):
        assert learning(adapt(tiny_model(), recipe(method=method))).total == own


def test_description_for_people() -> None:
    late = Learning(blocks=(4, 5), depth=6, trainable=4096, total=40960)
    assert late.describe() == "learning: blocks 4–5 of 0–5, 4,096 of 40,960 parameters (10 %)"
    beside = dataclasses.replace(late, adapters=True).describe()
    assert beside == "learning: blocks 4–5 of 0–5, adapters of 4,096 parameters beside the model's 40,960"
    apart = dataclasses.replace(late, blocks=(0, 2, 3, 5))
    assert "blocks 0, 2–3, 5 of 0–5" in apart.describe()
    assert "blocks none of 0–5" in dataclasses.replace(late, blocks=()).describe()


def test_experts_learn_or_it_is_said() -> None:
    """Every matrix of every expert gets an adapter; where only other layers are asked for, one line says so."""
    sizes = {"intermediate_size": 64, "num_key_value_heads": 2, "num_local_experts": 4, "num_experts_per_tok": 2}
    recipe = Recipe(model="-", data="-", late_blocks=2, rank=RANK)
    whole = adapt(tiny_model("mixtral", **sizes), recipe)
    shapes = {
        name: tuple(one.shape) for name, one in whole.named_parameters() if one.requires_grad and "experts" in name
    }
    # four experts, each with rank 4: 32 -> 2 * 64 (gate and up), and 64 -> 32
    assert sorted(shapes.values()) == sorted([(16, 32), (128, 16), (16, 64), (32, 16)] * 2)
    assert not learning(whole).frozen_experts
    part = adapt(tiny_model("mixtral", **sizes), dataclasses.replace(recipe, target_modules=("q_proj",)))
    assert learning(part).frozen_experts
    assert learning(part).describe().endswith("; their experts do not learn")
    assert not learning(adapt(tiny_model(), recipe)).frozen_experts
