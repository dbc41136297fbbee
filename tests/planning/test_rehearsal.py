"""A rehearsal without values beside the same update with them, and beside operations counted by hand."""

from functools import partial
from typing import Any, get_args

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig

from hyperfit.errors import UserError
from hyperfit.models.adapt import adapt, round_frozen
from hyperfit.models.devices import autocast
from hyperfit.models.skeleton import skeleton
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.planning.count import Count
from hyperfit.planning.rehearsal import rehearse
from hyperfit.prefix.bypass import Bypass, frozen_blocks
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Method, Precision, Recipe
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import adam

CPU = torch.device("cpu")
DEPTH, WIDTH, MLP, VOCABULARY = 3, 32, 64, 200
BATCH, LENGTH = 4, 32
SIZES: dict[str, Any] = {
    "hidden_size": WIDTH, "intermediate_size": MLP, "num_hidden_layers": DEPTH, "vocab_size": VOCABULARY,
    "num_attention_heads": 4, "num_key_value_heads": 4, "max_position_embeddings": 64,
}  # fmt: skip


def config(**changes: Any) -> LlamaConfig:
    return LlamaConfig(**(SIZES | changes))


def recipe(method: Method, precision: Precision = "fp32", **changes: Any) -> Recipe:
    settings = {"rank": 8, "batch_size": BATCH, "length": LENGTH, "late_blocks": 2 if "late" in method else None}
    made = Recipe(model="m", data="d", method=method, precision=precision, **(settings | changes))
    return filled_in(made, DEPTH, WIDTH)


def real_update(wanted: Recipe) -> tuple[int, int, float]:
    """(bytes held before, most bytes held in the second update, operations of it) with real values."""
    bf16 = wanted.precision == "bf16"
    model = AutoModelForCausalLM.from_config(config(), dtype=torch.bfloat16 if bf16 and wanted.adapters else None)
    adapted = adapt(model.requires_grad_(False), wanted).eval()
    if bf16 and not wanted.adapters:
        round_frozen(adapted)
    if frozen := frozen_blocks(adapted):
        Bypass(adapted, frozen).hidden = torch.randn(BATCH, LENGTH, WIDTH, dtype=inner_model(adapted).dtype)
    ids = torch.randint(VOCABULARY, (BATCH, LENGTH))
    loss, optimizer = SequenceLoss(adapted, partial(autocast, CPU, wanted.precision)), adam(adapted, wanted)
    with Count() as count:
        count.see([*adapted.parameters(), *adapted.buffers()])
        held = count.held
        for _ in range(2):
            count.forget_peak()
            count.operations = 0
            loss(ids, BATCH, 1 / ids.numel())[1].backward()
            optimizer.step()
            optimizer.zero_grad()
    return held, count.peak, count.operations


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", get_args(Method))
def test_what_is_rehearsed_is_what_an_update_takes(method: Method, precision: Precision) -> None:
    """Weights, moments and operations exactly; what passes nearly, as torch holds that attention's result is copied."""
    wanted = recipe(method, precision)
    found, (held, peak, operations) = rehearse(config(), wanted), real_update(wanted)
    assert found.weights + found.learning == held
    assert found.optimiser == 8 * found.trainable + 4 * len([*trained(wanted)])  # a step number for each tensor
    passing = peak - held - found.optimiser + BATCH * found.states  # the stored states came from outside
    assert found.update == pytest.approx(passing, rel=0.05)
    assert found.operations * BATCH == operations


def trained(wanted: Recipe) -> list[torch.nn.Parameter]:
    model = AutoModelForCausalLM.from_config(config()).requires_grad_(False)
    return [one for one in adapt(model, wanted).parameters() if one.requires_grad]


def test_operations_of_full_training_are_those_of_the_textbook() -> None:
    """Three products a weight of the linear layers, and attention's two forward and five backward."""
    found = rehearse(config(), recipe("full"))
    weights = DEPTH * (4 * WIDTH**2 + 3 * WIDTH * MLP)
    linear = 6 * weights * LENGTH + 6 * VOCABULARY * WIDTH * (LENGTH - 1)  # the last position predicts nothing
    attention = DEPTH * 7 * 2 * LENGTH**2 * WIDTH
    assert found.operations == pytest.approx(linear + attention, rel=1e-3)  # the rotary phases take a few more


def test_frozen_blocks_cost_nothing_but_the_filling() -> None:
    """One of three blocks frozen: a third of the forward operations once, and none of them in an update."""
    late, every = rehearse(config(), recipe("late-full")), rehearse(config(), recipe("late-full", late_blocks=3))
    block = 2 * (4 * WIDTH**2 + 3 * WIDTH * MLP) * LENGTH + 4 * LENGTH**2 * WIDTH
    assert late.frozen == 1
    assert late.fill_operations == pytest.approx(block, rel=0.01)
    assert every.frozen == 0
    assert every.no_cache is not None
    assert every.fill_operations == every.states == every.streamed == 0
    assert late.states == 4 * WIDTH * LENGTH


def test_streaming_holds_neither_frozen_blocks_nor_an_embedding_of_its_own() -> None:
    block = 4 * WIDTH**2 + 3 * WIDTH * MLP + 2 * WIDTH
    apart = rehearse(config(), recipe("late-lora"))
    assert apart.streamed == 4 * (block + VOCABULARY * WIDTH)
    shared = rehearse(config(tie_word_embeddings=True), recipe("late-lora"))
    assert shared.streamed == 4 * block
    assert apart.peak(streaming=True) < apart.peak()


def test_more_sequences_take_more_and_more_positions_at_once_too() -> None:
    one, two = (rehearse(config(), recipe("lora", batch_size=size)) for size in (1, 2))
    assert one.update < two.update
    assert one.operations == pytest.approx(two.operations, rel=0.01)
    few, many = (rehearse(config(vocab_size=20_000), recipe("lora"), positions=size) for size in (1, 30))
    assert few.update < many.update


def test_accumulated_passes_are_counted_for_each_of_their_sequences() -> None:
    once, twice = rehearse(config(), recipe("full")), rehearse(config(), recipe("full", accumulate=2))
    assert once.operations == pytest.approx(twice.operations, rel=0.01)
    assert twice.update >= once.update  # the first pass's gradients are held in the second


def experts(count: int) -> MixtralConfig:
    """Of so many experts each token takes two."""
    return MixtralConfig(**SIZES, num_local_experts=count, num_experts_per_tok=2)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("method", get_args(Method))
def test_experts_are_rehearsed_too(method: Method, precision: Precision) -> None:
    """Operations are those of the two experts a token takes; adapters, which PEFT adds to all, cost more with four."""
    wanted = recipe(method, precision)
    two, four = rehearse(experts(2), wanted), rehearse(experts(4), wanted)
    assert four.parameters > two.parameters
    if wanted.adapters:
        assert four.operations > two.operations
    else:
        assert four.operations == pytest.approx(two.operations, rel=0.01)


def test_experts_without_weights_have_the_layout_of_those_with() -> None:
    """Also in fp32, which the kernel that experts take by themselves does not bear without values."""
    empty = skeleton(experts(4), torch.float32, CPU)
    assert layout_of(empty) == layout_of(AutoModelForCausalLM.from_config(experts(4)))


def test_a_config_whose_sizes_do_not_go_together_is_told() -> None:
    with pytest.raises(UserError, match="cannot be built and rehearsed without values"):
        rehearse(config(num_key_value_heads=3), recipe("lora"))
