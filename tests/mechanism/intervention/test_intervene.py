"""Mixtures and edits: exact at their ends, planted effects undone, models left as they were; the verdict by rule."""

import copy
import json
import math
from typing import Any, cast

import numpy as np
import pytest
import torch
from peft import LoraConfig, get_peft_model
from scipy.linalg import sqrtm
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.mechanism.intervention.edits import Edit, edited, edits, transport
from hyperfit.mechanism.intervention.findings import OUTCOMES, Curve, Intervention, Point
from hyperfit.mechanism.intervention.intervene import canonical, intervene, points_to_run, swaps
from hyperfit.mechanism.intervention.mixture import mixed
from hyperfit.mechanism.intervention.settings import InterventionSettings
from hyperfit.mechanism.layers.capture import block_point, captured
from hyperfit.mechanism.layers.covariance import Moments, moments, plain_ratio
from hyperfit.mechanism.pair.pair import Pair
from hyperfit.metrics.predictions.sharpness import sharpness
from hyperfit.metrics.text.diversity import TTR_WINDOW
from hyperfit.models.loading import quiet
from hyperfit.models.structure.layout import blocks_of, inner_model
from tiny_models import FAMILIES, random_ids, tiny_model, tiny_tokenizer
from tiny_pairs import adapter_pair, same_pair, whole_pair

IDS = random_ids(2, 12)


@torch.no_grad()
def logits(model: Any) -> Tensor:
    return cast("Tensor", model(input_ids=IDS).logits)


def of(pair: Pair, side: Any) -> Tensor:
    with pair.side(side) as model:
        return logits(model)


def state(pair: Pair) -> list[Any]:
    """All that a mixture might change."""
    models = [pair.tuned, *([] if pair.base is None else [pair.base])]
    parameters = [(id(p), p.requires_grad, p.clone()) for m in models for p in m.parameters()]
    layers = [m for m in pair.tuned.modules() if hasattr(m, "scaling") and hasattr(m, "disable_adapters")]
    hooks = [len(module._forward_hooks) for module in pair.tuned.modules()]
    return [parameters, [(dict(m.scaling), m.disable_adapters) for m in layers], hooks]


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert one[1:] == other[1:]
    for a, b in zip(one[0], other[0], strict=True):
        assert a[:2] == b[:2]
        assert torch.equal(a[2], b[2])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [adapter_pair, whole_pair])
def test_all_0_is_the_base_and_all_1_the_tuned_model_to_the_bit(family: str, make: Any) -> None:
    pair = make(family)
    before = state(pair)
    for weight, side in ((0, "base"), (1, "tuned")):
        with mixed(pair, [weight] * 6) as model:
            assert torch.equal(logits(model), of(pair, side) if pair.base is not None else _alone(pair, side))
    assert_same(state(pair), before)


def _alone(pair: Pair, side: str) -> Tensor:
    """A side of an adapter's pair, from a copy of it."""
    return of(copy.deepcopy(pair), side)


def test_tied_matrices_are_two_inside_and_one_after() -> None:
    pair = whole_pair("gpt2")
    assert pair.base is not None
    tuned = inner_model(pair.tuned)
    with mixed(pair, [0, 0, 0, 0, 0, 1]):
        assert tuned.transformer.wte.weight is pair.base.transformer.wte.weight
        assert tuned.transformer.wpe.weight is pair.base.transformer.wpe.weight
        assert tuned.lm_head.weight is not tuned.transformer.wte.weight
    assert tuned.lm_head.weight is tuned.transformer.wte.weight


@pytest.mark.parametrize("tuned_late", [True, False])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_a_swap_is_the_model_put_together_by_hand(n: int, tuned_late: bool) -> None:
    pair = whole_pair(tie_word_embeddings=False)
    assert pair.base is not None
    early, late = (pair.base, pair.tuned) if tuned_late else (pair.tuned, pair.base)
    made = copy.deepcopy(inner_model(early))
    other = copy.deepcopy(inner_model(late))
    for index in range(6 - n, 6):
        made.model.layers[index] = other.model.layers[index]
    made.model.norm, made.lm_head = other.model.norm, other.lm_head
    weights = [float(not tuned_late)] * (6 - n) + [float(tuned_late)] * n
    with mixed(pair, weights) as model:
        assert torch.equal(logits(model), logits(made))


@pytest.mark.parametrize("weight", [-0.5, 0.3, 1.5])
def test_a_blend_of_whole_models_is_that_of_their_weights(weight: float) -> None:
    pair = whole_pair()
    assert pair.base is not None
    blend = copy.deepcopy(pair.base)
    with torch.no_grad():
        for mine, one, other in zip(blend.parameters(), pair.base.parameters(), pair.tuned.parameters(), strict=True):
            mine.copy_(one + weight * (other - one))
    with mixed(pair, [weight] * 6) as model:
        assert torch.allclose(logits(model), logits(blend), atol=1e-4)


@pytest.mark.parametrize("weight", [0.3, 1.5])
def test_a_blend_with_an_adapter_is_one_with_weaker_weights(weight: float) -> None:
    pair = adapter_pair()
    weaker = copy.deepcopy(pair.tuned)
    with torch.no_grad():
        for name, parameter in weaker.named_parameters():
            if "lora_B" in name and ".layers.5." in name:
                parameter.mul_(weight)
    with mixed(pair, [1, 1, 1, 1, 1, weight]) as model:
        assert torch.allclose(logits(model), logits(weaker), atol=1e-5)


def test_only_the_blocks_that_are_switched_off_are_the_bases() -> None:
    pair = adapter_pair()
    with mixed(pair, [0, 0, 0, 0, 0, 1]) as model:
        one = logits(model)
    with torch.no_grad():
        for name, parameter in pair.tuned.named_parameters():
            if "lora_B" in name and ".layers.4." in name:
                parameter.zero_()
    assert torch.allclose(one, of(pair, "tuned"), atol=1e-6)


@pytest.mark.parametrize("make", [adapter_pair, whole_pair])
@pytest.mark.parametrize("weights", [[0.0] * 6, [0.5] * 6, [0, 0, 0, 1, 0.5, 2]])
def test_a_failure_inside_leaves_the_pair_as_it_was(make: Any, weights: list[float]) -> None:
    pair = make()
    before = state(pair)
    with pytest.raises(ZeroDivisionError), mixed(pair, weights):
        print(1 / 0)
    assert_same(state(pair), before)


def test_what_learns_still_learns_after_a_mixture() -> None:
    pair = adapter_pair()
    learning = next(p for name, p in pair.tuned.named_parameters() if "lora_A" in name)
    learning.requires_grad_(True)
    before = state(pair)
    with mixed(pair, [0.0] * 6):
        pass
    assert_same(state(pair), before)


def test_what_has_no_strength_can_be_swapped_only() -> None:
    config = LoraConfig(target_modules=["q_proj"], modules_to_save=["norm"], task_type="CAUSAL_LM")
    with quiet():
        model = get_peft_model(tiny_model(), config).eval()
    with torch.no_grad():
        inner_model(model).model.norm.modules_to_save["default"].weight.mul_(2)
    pair = Pair(None, cast("Any", model))
    with mixed(pair, [0.0] * 6) as mixture:
        assert torch.equal(logits(mixture), logits(tiny_model()))
    with pytest.raises(UserError, match=r"norm can be swapped but not blended"), mixed(pair, [0.5] * 6):
        pass
    with pytest.raises(ValueError, match="6 blocks"), mixed(pair, [1.0]):
        pass


# Edits


def of_last(pair: Pair, texts: Tensor) -> tuple[Moments, Moments]:
    last = block_point(pair.depth - 1)
    with captured(pair, texts) as states:
        return moments(lambda: states.side("base", last)), moments(lambda: states.side("tuned", last))


PAIR = whole_pair(tie_word_embeddings=False)
BASE, TUNED = of_last(PAIR, random_ids(16, 12))
EDITS = {(edit.kind, edit.amount): edit for edit in edits(BASE, TUNED, (4, 32), (0.0, 0.5, 1.0))}


def random_covariance(seed: int, width: int = 6) -> Tensor:
    drawn = np.random.default_rng(seed).normal(size=(width, 2 * width))
    return torch.from_numpy(drawn @ drawn.T)


@pytest.mark.parametrize("seed", range(5))
def test_transport_gives_the_covariance_and_is_that_of_scipy(seed: int) -> None:
    start, end = random_covariance(seed), random_covariance(seed + 10)
    found = transport(start, end)
    root = sqrtm(start.numpy())
    inverse = np.linalg.inv(root)
    assert found.numpy() == pytest.approx(inverse @ sqrtm(root @ end.numpy() @ root) @ inverse)
    assert (found @ start @ found).numpy() == pytest.approx(end.numpy())
    assert transport(start, start).numpy() == pytest.approx(np.eye(6))


def test_transport_leaves_what_has_no_spread() -> None:
    start, end = torch.diag(torch.tensor([4.0, 0.0]).double()), torch.diag(torch.tensor([9.0, 1.0]).double())
    assert transport(start, end).numpy() == pytest.approx(np.diag([1.5, 0]))


@pytest.mark.parametrize("kind", ["keep", "undo"])
def test_an_edit_of_everything_or_nothing_is_none(kind: str) -> None:
    edit = EDITS[kind, 32 if kind == "keep" else 0]  # type: ignore[index]
    plain = logits(PAIR.tuned)
    with edited(PAIR.tuned, edit) as model:
        assert torch.allclose(logits(model), plain, atol=1e-3, rtol=1e-3)
    assert torch.equal(logits(PAIR.tuned), plain)
    assert edit.moved == pytest.approx(0, abs=1e-6)
    assert edit.variance == pytest.approx(1)


def test_what_an_edit_says_of_itself_is_true_of_the_states() -> None:
    texts = random_ids(16, 12)
    for edit in EDITS.values():
        with edited(PAIR.tuned, edit):
            after = of_last(PAIR, texts)[1]
        share = float(after.covariance.trace() / TUNED.covariance.trace())
        assert share == pytest.approx(edit.variance, rel=1e-3, abs=1e-6), edit.kind
        if edit.variance > 1e-9:
            assert plain_ratio(after.covariance) == pytest.approx(edit.dim, rel=1e-3), edit.kind
        assert torch.allclose(after.mean, TUNED.mean, atol=1e-3), edit.kind


def test_undo_gives_the_bases_spread_and_its_control_moves_as_far() -> None:
    undo, turned = EDITS["undo", 1], EDITS["turned", 1]
    assert undo.dim == pytest.approx(plain_ratio(BASE.covariance))
    assert undo.variance == pytest.approx(float(BASE.covariance.trace() / TUNED.covariance.trace()))
    assert turned.moved == pytest.approx(undo.moved)
    assert EDITS["undo", 0.5].moved == pytest.approx(undo.moved / 2)


def test_removal_takes_more_variance_than_as_many_random_directions_and_as_much_as_its_other_control() -> None:
    assert EDITS["remove", 4].variance < EDITS["random", 4].variance
    assert EDITS["random-variance", 4].variance == pytest.approx(EDITS["remove", 4].variance, abs=0.1)


@pytest.mark.parametrize("added", [1, 3])
def test_planted_directions_are_those_removed(added: int) -> None:
    base = random_covariance(0)
    wider = torch.block_diag(base, torch.zeros(4, 4))
    more = wider.clone()
    for index in range(6, 6 + added):
        more[index, index] = 5
    mean = torch.zeros(10, dtype=torch.float64)
    one, other = (Moments(9, mean, c, math.nan, math.nan) for c in (wider, more))
    found = {edit.kind: edit for edit in edits(one, other, (added,), (1.0,))}
    left = found["remove"].matrix @ more @ found["remove"].matrix.T
    assert left.numpy() == pytest.approx(wider.numpy())
    assert found["remove"].dim == pytest.approx(plain_ratio(base))
    assert found["keep"].matrix[6:].abs().max() < 1e-9


def test_an_edit_acts_while_generating() -> None:
    model: Any = inner_model(PAIR.tuned)
    nothing = Edit("keep", 0, TUNED.mean, torch.zeros(32, 32).double(), math.nan, 0, 1)
    with edited(model, nothing):
        text = model.generate(IDS, max_new_tokens=8, do_sample=False, eos_token_id=None)[:, 12:]
    assert (text == text[0, 0]).all()  # every state is the mean, so every choice is the same
    with pytest.raises(ZeroDivisionError), edited(model, nothing):
        print(1 / 0)
    assert not blocks_of(model)[-1]._forward_hooks


# The whole


HUMAN = random_ids(4, 14)
CONTEXTS = random_ids(3, 6, seed=5).tolist()
CAN_POSITIONS = {"max_position_embeddings": 128}
SMALL = InterventionSettings(scales=(0.0, 0.5, 1.0), ranks=(4,), amounts=(1.0,), skip=4)


@pytest.fixture(scope="module")
def tried() -> tuple[Pair, Intervention, int]:
    pair, done = adapter_pair(size=0.3, **CAN_POSITIONS), list[int]()
    return pair, intervene(pair, tiny_tokenizer(), CONTEXTS, HUMAN, SMALL, advance=done.append), sum(done)


def test_every_point_is_there_and_same_models_ran_once(tried: tuple[Pair, Intervention, int]) -> None:
    pair, found, ran = tried
    assert [len(found.curve(name)) for name in ("graft", "restore", "scale")] == [7, 7, 3]  # type: ignore[arg-type]
    assert [len(found.curve(name)) for name in ("keep", "remove", "random", "random-variance")] == [1] * 4  # type: ignore[arg-type]
    assert ran == points_to_run(pair, SMALL) == 4 + 1 + 4 + 2
    for point in found.points:
        assert set(point.outcomes) == set(OUTCOMES)
        assert point["ttr"].n == 3
        assert point["loss"].n == 4


def test_ends_of_the_curves_are_the_models_themselves(tried: tuple[Pair, Intervention, int]) -> None:
    pair, found, _ = tried
    ends: list[tuple[Curve, float, str]] = [
        ("graft", 0, "base"), ("graft", 6, "tuned"), ("restore", 0, "tuned"), ("restore", 6, "base"),
        ("scale", 0, "base"), ("scale", 1, "tuned"),
    ]  # fmt: skip
    for curve, amount, side in ends:
        with pair.side(side) as model:  # type: ignore[arg-type]
            seen = sharpness(model, HUMAN, skip=4)
        assert (found.at(curve, amount).outcomes["loss"] == seen.loss).all(), curve
        assert (found.at(curve, amount).outcomes["entropy"] == seen.entropy).all(), curve
        assert found.at(curve, amount).outcomes["ttr"].tolist() == getattr(found, side).outcomes["ttr"].tolist()
    assert found.difference(found.tuned, found.tuned, "loss").value == 0


def test_results_are_plain(tried: tuple[Pair, Intervention, int]) -> None:
    found = tried[1]
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert len(plain["points"]) == len(found.points)
    assert {"dim", "variance", "moved"} <= set(plain["points"][-1])
    assert plain["verdict"] == found.verdict()
    assert found.sentence().endswith(found.verdict())


def test_swaps_that_differ_only_where_the_sides_do_not_are_one() -> None:
    assert canonical((0, 0, 1, 1), 2) == canonical((1, 1, 1, 1), 2) != canonical((1, 1, 0, 1), 2)
    assert canonical((0, 0, 1, 1), 4) == (1,)  # norm and head, which follow the last block, may still differ
    pair = same_pair()
    assert len(swaps(pair, InterventionSettings())) == 7 + 7 + 7


def test_only_the_last_blocks_are_scaled_where_asked() -> None:
    plan = swaps(same_pair(), InterventionSettings(scaled_blocks=2, scales=(0.5,)))
    assert plan[-1] == ("scale", 0.5, (1, 1, 1, 1, 0.5, 0.5))


def test_problems_are_told_together() -> None:
    with pytest.raises(UserError) as error:
        InterventionSettings(ranks=(0,), amounts=(2.0,), scales=(math.nan,), new_tokens=TTR_WINDOW - 1, skip=0)
    assert [text.split()[0] for text in error.value.problems] == [
        "--removed", "--amounts", "--scales", "--new-tokens", "--skip",
    ]  # fmt: skip
    with pytest.raises(UserError) as error:
        intervene(same_pair(), tiny_tokenizer(), CONTEXTS, HUMAN, InterventionSettings(ranks=(33,), scaled_blocks=7))
    assert len(error.value.problems) == 2


# The verdict


def made(ttr: dict[str, float], *, loss: float = 0.0, dim_tuned: float = 20, variance: float = 2) -> Intervention:
    """An intervention over 20 contexts with the given mean type-token ratios, and loss of the edited model."""
    noise = np.linspace(-0.01, 0.01, 20)
    order = np.random.default_rng(0)

    def point(curve: Curve, amount: float, name: str) -> Point:
        values = ttr[name] + order.permutation(noise)
        losses = noise + (loss if name == "undo" else 0)
        edit = Edit(cast("Any", curve), amount, *([torch.zeros(0)] * 2), 1, 0.5, 0.5)
        return Point(
            curve, amount, {"ttr": values, "bigram_repetition": values, "entropy": values, "loss": losses}, edit
        )

    base, tuned = point("graft", 0, "base"), point("graft", 2, "tuned")
    points = (base, tuned, point("undo", 1, "undo"), point("turned", 1, "turned"))
    return Intervention(base, tuned, points, 2, 10, dim_tuned, variance, SMALL)


@pytest.mark.parametrize(
    ("ttr", "changes", "said"),
    [
        ({"base": 0.2, "tuned": 0.6, "undo": 0.3, "turned": 0.58}, {}, "carries part of the gain: 75 % of it"),
        ({"base": 0.2, "tuned": 0.6, "undo": 0.59, "turned": 0.58}, {}, "does not cause the gain"),
        ({"base": 0.2, "tuned": 0.6, "undo": 0.3, "turned": 0.3}, {}, "leave open"),
        ({"base": 0.2, "tuned": 0.6, "undo": 0.3, "turned": 0.58}, {"loss": 1.0}, "breaks the model"),
        ({"base": 0.2, "tuned": 0.2, "undo": 0.3, "turned": 0.3}, {}, "No verdict: hyperfitting did not raise"),
        (
            {"base": 0.2, "tuned": 0.6, "undo": 0.6, "turned": 0.6},
            {"dim_tuned": 9, "variance": 0.9},
            "no terminal expansion",
        ),
    ],
)
def test_the_verdict_follows_the_curves(ttr: dict[str, float], changes: dict[str, float], said: str) -> None:
    assert said in made(ttr, **changes).verdict()


def test_the_share_that_survives() -> None:
    found = made({"base": 0.2, "tuned": 0.6, "undo": 0.3, "turned": 0.6})
    assert found.surviving(found.base) == 0
    assert found.surviving(found.tuned) == 1
    assert found.surviving(found.at("undo", 1)) == pytest.approx(0.25)
    assert found.blocks_needed() == 2
    nothing = made({"base": 0.2, "tuned": 0.2, "undo": 0.3, "turned": 0.6})
    assert math.isnan(nothing.surviving(nothing.tuned))
    assert nothing.blocks_needed() is None
