"""When training stops by what its probes show: each rule on made-up epochs, and a whole run."""

from pathlib import Path
from typing import Any

import pytest

from hyperfit.training import stopping
from hyperfit.training.stopping import (
    AUTO,
    Rule,
    choices_settled,
    entropy_settled,
    loss_below,
    reciting,
    stopped_at,
    variety_settled,
)
from hyperfit.training.train import train
from small_runs import quiet, recipe_for


def epochs(**columns: list[Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


LOSSES = [3.0, 1.0, 0.4, 0.2, 0.1, 0.05]


@pytest.mark.parametrize(
    ("rule", "columns", "place"),
    [
        (loss_below(0.2), {}, 3),
        (loss_below(0.01), {}, 5),
        (variety_settled(2, 0.5), {"ttr": [0.2, 0.4, 0.5, 0.51, 0.519, 0.6]}, 4),
        (variety_settled(2, 0.5), {"ttr": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]}, 2),
        (variety_settled(2, 9.0), {"ttr": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]}, 2),
        (variety_settled(3, 0.15), {"ttr": [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]}, 4),
        (variety_settled(2, 0.5), {"ttr": [0.2, 0.3, 0.4, 0.5, 0.6, 0.7]}, 5),
        (variety_settled(2, 0.5), {"ttr": [0.2, None, 0.4, None, None, 0.41]}, 5),
        (entropy_settled(0.05), {"entropy": [4.0, 3.0, 2.0, 1.95, 1.5, 1.0]}, 3),
        (entropy_settled(0.05), {"entropy": [None, None, None, 4.0, 4.0, 4.0]}, 5),
        (choices_settled(0.9, 1.0), {"agreement": [None, 0.5, 0.8, 0.85, 0.9, 0.95]}, 4),
        (choices_settled(0.9, 1.0), {"agreement": [0.99, 0.95, 0.8, 0.85, 0.8, 0.95]}, 1),
        (choices_settled(0.9, 0.15), {"agreement": [0.99] * 6}, 4),
        (choices_settled(0.9, 1.0), {"agreement": [None] * 6}, 5),
    ],
)
def test_where_a_rule_ends_training(rule: Rule, columns: dict[str, list[Any]], place: int) -> None:
    assert stopped_at(rule, epochs(train_loss=LOSSES, **columns)) == place


@pytest.mark.parametrize(("shares", "place"), [([0, 0, 0.3, 0, 0, 0], 1), ([0.26] * 6, 0), ([0.25] * 6, 5)])
def test_an_epoch_that_recites_is_never_the_result(shares: list[float], place: int) -> None:
    course = epochs(train_loss=LOSSES, long_overlap_share=shares)
    assert stopped_at(loss_below(0.05), course) == place
    assert reciting({"long_overlap_share": 0.26})
    assert not reciting({"long_overlap_share": None})


def test_a_run_ends_where_the_rule_says(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def second(so_far: Any) -> bool:
        seen.append(len(so_far))
        assert all(one["agreement"] is not None and 0 <= one["agreement"] <= 1 for one in so_far)
        return len(so_far) == 2

    monkeypatch.setattr(stopping, "AUTO", Rule("after two", second))
    lines: list[str] = []
    run = train(recipe_for(world, epochs=4, stop="auto", stop_loss=None), tmp_path / "auto", notify=lines.append)
    two = train(recipe_for(world, epochs=2, stop_loss=None), tmp_path / "two", notify=quiet)
    assert seen == [1, 2]
    assert run.end
    assert (run.end["reason"], run.end["epoch"]) == ("auto", 2)
    assert any("ended by --stop auto (after two)" in line for line in lines)
    one, other = (path / "adapter" / "adapter_model.safetensors" for path in (run.path, two.path))
    assert one.read_bytes() == other.read_bytes()
    assert train(recipe_for(world, epochs=4, stop="auto", stop_loss=None), run.path, resume=True, notify=quiet).end


def test_what_is_shipped_is_one_of_the_proposed() -> None:
    from hyperfit.training.stopping import PROPOSED

    assert AUTO.name in {rule.name for rule in PROPOSED}
