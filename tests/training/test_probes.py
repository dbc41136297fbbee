"""What people wrote after the contexts of the probes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hyperfit.data.corpus import Corpus
from hyperfit.training import probes


def held_out(rows: torch.Tensor, learned: torch.Tensor | None = None) -> Corpus:
    """A corpus of which only what is held out matters."""
    counts = dict.fromkeys(
        ("documents", "duplicates", "near_copies", "together", "short", "heldout_documents", "available"), 0
    )
    return Corpus(train=rows[:0], validation=rows, validation_learned=learned, **counts)


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
    checked: Any = SimpleNamespace(
        corpus=held_out(torch.tensor(rows, dtype=torch.int64).reshape(-1, length)),
        tokenizer=None,
        palette=None,
        recipe=SimpleNamespace(probe_texts=2),
    )
    model: Any = SimpleNamespace(config=None)
    found = probes.human_text(model, checked)["human_ttr"]
    assert found == (None if human is None else pytest.approx(human, abs=1e-6))


def test_what_is_probed_of_chats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three chats: a reply of 100 tokens behind 10; one of 20 behind 50; a text, all of which is learned."""
    monkeypatch.setattr(probes, "positions_of", lambda config: 110)
    rows = torch.arange(3 * 120).view(3, 120)
    learned = torch.zeros(3, 120, dtype=torch.bool)
    learned[0, 10:110] = learned[1, 50:70] = learned[2, 1:] = True
    checked: Any = SimpleNamespace(
        corpus=held_out(rows, learned), tokenizer=None, palette=None, recipe=SimpleNamespace(probe_texts=3)
    )
    model: Any = SimpleNamespace(config=None)
    contexts, new_tokens = probes.probed(model, checked)
    assert contexts == [list(range(10)), list(range(120, 170)), list(range(240, 272))]
    assert new_tokens == 60, "as many as the positions leave behind the longest"
    assert probes.human_text(model, checked) == {"human_ttr": None}, "no 96 tokens are compared"
    monkeypatch.setattr(probes, "positions_of", lambda config: None)
    assert probes.human_text(model, checked) == {"human_ttr": 1.0}, "of the one reply that is long enough"
