"""The least loss that sequences allow: by hand, by its definition, and below what any training comes to."""

import json
import math
from pathlib import Path
from random import Random

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from hyperfit.data.least import least_loss
from hyperfit.training.train import train
from small_runs import events, recipe_for


def plainly(rows: list[list[int]], learned: list[list[bool]]) -> float:
    """Of each learned token the share of those, learned too, behind the same tokens that are the same; mean log."""
    logs = []
    for row, counts in zip(rows, learned, strict=True):
        for place in range(1, len(row)):
            if counts[place]:
                alike = [
                    other[place]
                    for other, also in zip(rows, learned, strict=True)
                    if other[:place] == row[:place] and also[place]
                ]
                logs.append(math.log(alike.count(row[place]) / len(alike)))
    return -sum(logs) / len(logs)


def test_by_hand() -> None:
    """24 that have a first token in common and nothing else; four of which three go on alike for a token."""
    apart = torch.stack([torch.tensor([0, number, 7, 7]) for number in range(1, 25)])
    assert least_loss(apart) == pytest.approx(math.log(24) / 3)
    four = torch.tensor([[0, 1, 5], [0, 1, 6], [0, 1, 6], [0, 2, 6]])
    first, second = -(3 * math.log(3 / 4) + math.log(1 / 4)), -(math.log(1 / 3) + 2 * math.log(2 / 3))
    assert least_loss(four) == pytest.approx((first + second) / 8)
    assert least_loss(torch.tensor([[1, 5, 5], [2, 5, 6]])) == 0.0
    assert least_loss(torch.tensor([[1, 5, 5], [1, 5, 5]])) == 0.0


SMALL = st.lists(st.lists(st.integers(0, 2), min_size=5, max_size=5), min_size=1, max_size=9)


@given(rows=SMALL, mask=st.lists(st.booleans(), min_size=45, max_size=45))
def test_by_its_definition(rows: list[list[int]], mask: list[bool]) -> None:
    """Also where the loss is on some of the tokens alone."""
    learned = [[False, True, *mask[5 * number : 5 * number + 3]] for number in range(len(rows))]
    assert least_loss(torch.tensor(rows), torch.tensor(learned)) == pytest.approx(plainly(rows, learned), abs=1e-9)
    every = [[False, *[True] * 4] for _ in rows]
    assert least_loss(torch.tensor(rows)) == pytest.approx(plainly(rows, every), abs=1e-9)


def begun_alike(folder: Path) -> Path:
    """Eight texts of one beginning, of which each goes on with a letter of its own, and then in no order."""
    path, chance = folder / "alike.jsonl", Random(0)
    ends = (letter + "".join(chance.choices("abcdefgh", k=40)) for letter in "abcdefgh")
    path.write_text("".join(json.dumps({"text": f"once {end}"}) + "\n" for end in ends))
    return path


def test_a_goal_below_it_is_told_and_no_training_reaches_it(
    world: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 texts whose sixth token is anyone's guess: ln 8 / 15 = .139 nats of 15 predicted tokens."""
    given: list[Tensor] = []
    monkeypatch.setattr(
        "hyperfit.training.checks.least_loss", lambda rows, learned: given.append(rows) or least_loss(rows, learned)
    )
    texts = (world[0], str(begun_alike(tmp_path)))
    said: list[str] = []
    alike = {"samples": 8, "heldout": 0.0, "probe_every": 0, "greedy_every": 0, "checkpoint_every": 100}
    recipe = recipe_for(texts, **alike, batch_size=8, epochs=60, stop_loss=0.1, method="full")
    train(recipe, tmp_path / "run", notify=said.append)
    assert least_loss(given[0]) == pytest.approx(math.log(8) / 15)
    told = [line for line in said if line.startswith("--stop-loss 0.1: no model can come below 0.1386 on these")]
    assert len(told) == 1
    assert told[0].endswith("; give 0.14 or more")
    assert said[-1].startswith("goal (at most 0.1) NOT reached (no model can come below 0.1386 on these sequences)")
    losses = [row["train_loss"] for row in events(tmp_path / "run") if row["event"] == "epoch"][1:]
    assert 3 * math.log(8) / 15 > losses[-1] > math.log(8) / 15
    said.clear()
    train(recipe_for(texts, samples=8, heldout=0.0, epochs=1, stop_loss=0.2), tmp_path / "more", notify=said.append)
    assert not any("no model can" in line for line in said)
