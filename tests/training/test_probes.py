"""What people wrote after the contexts of the probes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hyperfit.training import probes


@pytest.mark.parametrize(
    ("rows", "length", "human"),
    [
        ([list(range(128)), [7] * 128, [1] * 128], 128, (1 + 1 / 96) / 2),
        ([[7] * 32 + [1, 2] * 48], 128, 2 / 96),
        ([list(range(127))], 127, None),
        ([], 128, None),
    ],
    ids=["only the texts that are probed", "behind the context only", "too short", "nothing held out"],
)
def test_human_text_by_hand(
    rows: list[list[int]], length: int, human: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probes, "character_end", lambda tokenizer, row, most: most)
    monkeypatch.setattr(probes, "positions_of", lambda config: None)
    held_out = torch.tensor(rows, dtype=torch.int64).reshape(-1, length)
    checked: Any = SimpleNamespace(
        corpus=SimpleNamespace(validation=held_out),
        tokenizer=None,
        palette=None,
        recipe=SimpleNamespace(probe_texts=2),
    )
    model: Any = SimpleNamespace(config=None)
    found = probes.human_text(model, checked)["human_ttr"]
    assert found == (None if human is None else pytest.approx(human, abs=1e-6))
