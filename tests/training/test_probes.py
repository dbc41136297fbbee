"""What people wrote after the contexts of the probes, what is continued, and over which tokens means are."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hyperfit.data.corpus import Corpus
from hyperfit.metrics.predictions.predict import Predictions
from hyperfit.training import probes
from tiny_models import END, random_ids, tiny_model, tiny_tokenizer


@pytest.fixture(autouse=True)
def as_long_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not shortened, as in other tests."""
    monkeypatch.setattr(probes, "TTR_WINDOW", 96)


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
    monkeypatch.setattr(probes, "character_end", lambda tokenizer, row, most: most)
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


@pytest.mark.parametrize(
    ("text", "fill", "start", "context"),
    [
        ("a, and so on to the end\n", 16, 1, "a"),
        ("A map.\n", 33, 0, "A"),
        ("one text of just 40 tokens, no prompt...", 0, 1, "one text of just 40 tokens, no p"),
        ("a text of 20 tokens.", 0, 1, "a text of 20 tokens"),
        ("cut in a character, the 32nd: \N{EURO SIGN}uro", 0, 1, "cut in a character, the 32nd: "),
    ],
    ids=["a prompt of one token", "a reply with nothing before", "a text", "a short text", "a cut character"],
)
def test_contexts_among_chats_by_hand(
    text: str, fill: int, start: int, context: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fills a row up is never continued, and a text among chats is cut as one among texts is."""
    monkeypatch.setattr(probes, "positions_of", lambda config: None)
    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode(text)
    learned = torch.tensor([[start <= place < len(ids) for place in range(len(ids) + fill)]])
    rows = torch.tensor([[*ids, *[END] * fill]])
    model: Any = SimpleNamespace(config=None)
    for which in (learned,) if fill else (learned, None):
        checked: Any = SimpleNamespace(
            corpus=held_out(rows, which), tokenizer=tokenizer, palette=None, recipe=SimpleNamespace(probe_texts=2)
        )
        ((found,), _) = probes.probed(model, checked)
        assert tokenizer.decode(found) == context


def test_validation_means_are_over_tokens_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three learned tokens of loss 1 and one of loss 5 are 2 a token; the mean of the two replies' means would be 3."""
    nothing = np.nan
    loss = np.array([[nothing, 9, 1, 1, 1], [nothing, 9, 9, 5, 9]])
    read = Predictions(loss, loss / 10, {}, np.zeros((2, 5)), np.array([[-1, 1, 2, 3, 4], [-1, 1, 2, 3, 4]]))
    monkeypatch.setattr(probes, "predict", lambda model, texts, batch_size: read)
    learned = torch.tensor([[False, False, True, True, True], [False, False, False, True, False]])
    before = torch.tensor([[7, 2, 3, 7], [1, 2, 7, 4]], dtype=torch.int32)
    model: Any = None
    found, _ = probes.predictions(model, held_out(torch.zeros(2, 5, dtype=torch.int64), learned), 4, before)
    assert found == {"val_loss": 2.0, "entropy": 0.2, "agreement": 0.5}


def test_validation_loss_is_that_of_transformers() -> None:
    model, rows = tiny_model(), random_ids(3, 20)
    learned = torch.zeros(3, 20, dtype=torch.bool)
    learned[0, 2:19] = learned[1, 7:9] = learned[2, 15:16] = True
    labels = rows.where(learned, -100)
    with torch.no_grad():
        logits = model(input_ids=rows).logits
    right = F.cross_entropy(logits[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
    found, _ = probes.predictions(model, held_out(rows, learned), 2, None)
    assert found["val_loss"] == pytest.approx(float(right), abs=1e-5)
