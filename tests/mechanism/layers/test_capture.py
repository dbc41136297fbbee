"""Captured states: those of transformers, the same with and without sharing, and nothing left in the models."""

import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hyperfit.errors import UserError
from hyperfit.mechanism.layers.capture import (
    EMBEDDING,
    NORM,
    Captured,
    block_point,
    captured,
    points_of,
    recording,
)
from hyperfit.mechanism.pair.pair import SIDES, Pair, Side
from hyperfit.models.structure.forward import passing
from tiny_models import TINY, random_ids, tiny_model
from tiny_pairs import adapter_pair, same_pair, whole_pair

TEXTS = random_ids(5, 12)


def whole(states: Captured, side: Side, point: str) -> Tensor:
    return torch.cat(list(states.side(side, point)))


@pytest.mark.parametrize("family", [name for name in TINY if name != "imagegpt"])
def test_states_are_those_of_transformers(family: str) -> None:
    pair = adapter_pair(family)
    with captured(pair, TEXTS, skip=3, batch_size=2) as states:
        for side in SIDES:
            with pair.side(side) as model, torch.no_grad():
                expected = torch.cat(
                    [
                        torch.stack(model(input_ids=TEXTS[i : i + 2], output_hidden_states=True).hidden_states)
                        for i in (0, 2, 4)
                    ],
                    1,
                )[:, :, 2:-1].double()
            points = [EMBEDDING, *map(block_point, range(pair.depth - 1)), NORM]
            for point, right in zip(points, expected, strict=True):  # theirs lacks the last block before the norm
                assert torch.equal(whole(states, side, point), right), (side, point)
        assert states.tokens == 5 * 9
        assert states.shared == {EMBEDDING, *map(block_point, range(pair.depth - 2))}


@pytest.mark.parametrize("family", ["llama", "gpt2", "imagegpt", "gpt_neox", "gemma2"])
@pytest.mark.parametrize("of", [adapter_pair, same_pair])
def test_sharing_changes_no_bit(family: str, of: object) -> None:
    pair = of(family)  # type: ignore[operator]
    with captured(pair, TEXTS) as one, captured(pair, TEXTS, share=False) as other:
        assert one.shared
        assert not other.shared
        for side in SIDES:
            for point in one.points:
                assert torch.equal(whole(one, side, point), whole(other, side, point)), (side, point)


def test_shared_blocks_are_computed_once() -> None:
    pair, runs = adapter_pair(), list[int]()
    with pair.side("tuned") as model:
        for index, block in enumerate(model.get_base_model().model.layers):  # type: ignore[operator, union-attr]
            block.self_attn.register_forward_hook(lambda *_, index=index: runs.append(index))
    with captured(pair, TEXTS, batch_size=5):
        assert runs == [*range(6), 4, 5]


@pytest.mark.parametrize("pair", [adapter_pair(), whole_pair(), same_pair()], ids=["adapter", "whole", "same"])
@pytest.mark.parametrize("fails", [False, True])
def test_nothing_is_left_behind(pair: Pair, fails: bool, tmp_path: Path) -> None:
    with pair.side("tuned") as model:
        before = [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in vars(m)) for m in model.modules()]
    if fails:
        with pytest.raises(IndexError), captured(pair, torch.full((2, 5), 10**6), folder=tmp_path):
            pass
    else:
        with captured(pair, TEXTS, folder=tmp_path):
            assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    with pair.side("tuned") as model:
        after = [(len(m._forward_hooks), len(m._forward_pre_hooks), "forward" in vars(m)) for m in model.modules()]
    assert after == before


def test_a_forward_of_its_own_comes_back() -> None:
    model = tiny_model()
    block = model.model.layers[0]
    own = block.forward
    block.forward = own
    with passing(model, 2, torch.zeros(1)):
        assert block.forward is not own
    assert vars(block)["forward"] == own
    assert "forward" not in vars(model.model.layers[1])


def test_a_model_without_a_final_norm_has_no_such_point() -> None:
    model = tiny_model("opt", do_layer_norm_before=False)
    assert points_of(model) == (EMBEDDING, *map(block_point, range(6)))
    with captured(Pair(model, tiny_model("opt", do_layer_norm_before=False, seed=1)), TEXTS) as states:
        with torch.no_grad():
            last = model(input_ids=TEXTS, output_hidden_states=True).hidden_states[-1][:, :-1].double()
        assert torch.equal(whole(states, "base", block_point(5)), last)


def test_bf16_states_are_kept_as_they_are() -> None:
    pair = Pair(tiny_model().to(torch.bfloat16), tiny_model(seed=1).to(torch.bfloat16))  # type: ignore[arg-type]
    with captured(pair, TEXTS, points=[NORM]) as states:
        assert states.files["base", NORM].dtype == torch.bfloat16
        assert states.points == (NORM,)
        assert whole(states, "tuned", NORM).dtype == torch.float64


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_batches_cover_the_texts(batch_size: int) -> None:
    done: list[int] = []
    with captured(whole_pair(), TEXTS, batch_size=batch_size, advance=done.append) as states:
        assert whole(states, "base", NORM).shape == (5, 11, 32)
        assert sum(done) == 5


def test_what_lies_behind_is_what_is_captured_from_there_on() -> None:
    pair = adapter_pair()
    with captured(pair, TEXTS, batch_size=3) as whole, captured(pair, TEXTS, skip=6, batch_size=3) as late:
        behind = whole.behind(2).behind(3)
        assert (behind.positions, behind.tokens) == (late.positions, late.tokens)
        for point in late.points:
            for side in SIDES:
                pairs = zip(behind.side(side, point), late.side(side, point), strict=True)
                assert all(torch.equal(one, other) for one, other in pairs)


def test_only_what_was_asked_for_is_recorded() -> None:
    model = tiny_model()
    with recording(model, [block_point(1), NORM]) as seen, torch.no_grad():
        model(input_ids=TEXTS)
    assert set(seen) == {block_point(1), NORM}


def test_problems_are_told_together() -> None:
    with pytest.raises(UserError) as error, captured(same_pair(), TEXTS, skip=12, points=["block 6", "norm"]):
        sys.exit("never here")
    assert len(error.value.problems) == 2
    assert "block 6" in error.value.problems[0]
    assert "skip 12" in error.value.problems[1]
