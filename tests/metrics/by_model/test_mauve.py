"""MAUVE: mauve-text from text to value is the oracle; what is dropped, what is undefined, what is reported."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from mauve import compute_mauve
from mauve.utils import featurize_tokens_from_model
from numpy.typing import NDArray

from hyperfit.errors import UserError, pip_install
from hyperfit.metrics.by_model.mauve import Mauve, features, first_tokens, mauve
from tiny_models import random_ids, save_tiny, tiny_model, tiny_tokenizer

TOKENS = 24
LETTERS = "abcdefghijklmnopqrstuvwxyz "
DIGITS = "0123456789.,;:"


def some_texts(count: int, *, seed: int, letters: str = LETTERS, length: int = TOKENS + 6) -> list[str]:
    rng = np.random.default_rng(seed)
    return ["".join(rng.choice(list(letters), length)) for _ in range(count)]


@pytest.fixture(scope="module")
def featuriser(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny model in a folder whose name mauve-text accepts."""
    return str(save_tiny(tmp_path_factory.mktemp("models") / "gpt2", "gpt2"))


def test_equals_mauve_text_from_text_to_value(featuriser: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISABLE_TQDM", "1")
    human, written = some_texts(60, seed=0), some_texts(60, seed=1, letters=LETTERS[:15])
    found = mauve(human, written, featuriser=featuriser, tokens=TOKENS, seeds=(3, 25), device="cpu")
    expected = [
        compute_mauve(
            p_text=human,
            q_text=written,
            featurize_model_name=featuriser,
            max_text_length=TOKENS,
            seed=seed,
            device_id=-1,
        )
        for seed in (3, 25)
    ]
    assert found.values == pytest.approx([each.mauve for each in expected], rel=1e-6)
    assert found.bins == expected[0].num_buckets == 6
    assert (found.n_human, found.n_written, found.dropped_human, found.dropped_written) == (60, 60, 0, 0)


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "gemma2"])
def test_features_are_those_of_mauve_text(family: str) -> None:
    model, ids = tiny_model(family), random_ids(7, 20)
    expected = featurize_tokens_from_model(model.base_model, list(ids), 2).numpy()
    np.testing.assert_allclose(features(model, ids.tolist(), batch_size=3), expected, rtol=1e-4, atol=1e-5)


def test_equal_texts_are_alike_and_texts_of_other_letters_are_not(featuriser: str) -> None:
    human = some_texts(60, seed=0)
    same = mauve(human, human, featuriser=featuriser, tokens=TOKENS)
    other = mauve(human, some_texts(60, seed=1, letters=DIGITS), featuriser=featuriser, tokens=TOKENS)
    assert same.values == pytest.approx(1)
    assert len(other.values) == 5
    assert ((other.values > 0) & (other.values < 0.6)).all()


def test_the_seeds_make_a_spread_which_is_reported(featuriser: str) -> None:
    found = mauve(some_texts(80, seed=0), some_texts(80, seed=1), featuriser=featuriser, tokens=TOKENS)
    again = mauve(some_texts(80, seed=0), some_texts(80, seed=1), featuriser=featuriser, tokens=TOKENS)
    assert found.values.tolist() == again.values.tolist()
    assert len(set(found.values)) > 1
    assert found.seeds == (0, 1, 2, 3, 4)
    assert found.mean == pytest.approx(np.mean(found.values))
    assert found.deviation == pytest.approx(np.std(found.values, ddof=1))
    assert (found.low, found.high) == (min(found.values), max(found.values))
    assert found.featuriser == featuriser


@pytest.mark.parametrize(("paired", "counts"), [(True, (37, 37, 3, 3)), (False, (38, 39, 2, 1))])
def test_short_texts_are_dropped_and_counted(featuriser: str, paired: bool, counts: tuple[int, int, int, int]) -> None:
    human, written = some_texts(40, seed=0), some_texts(40, seed=1)
    human[3], human[9], written[20] = "short", "", "x" * (TOKENS - 1)
    written[21] = "x" * TOKENS  # just long enough
    found = mauve(human, written, featuriser=featuriser, tokens=TOKENS, seeds=[0], paired=paired)
    assert (found.n_human, found.n_written, found.dropped_human, found.dropped_written) == counts
    assert 0 < found.values[0] <= 1
    left = [[text for text in side if len(text) >= TOKENS] for side in (human, written)]
    if not paired:
        assert mauve(*left, featuriser=featuriser, tokens=TOKENS, seeds=[0], paired=False).values == found.values


def test_too_few_texts_are_undefined(featuriser: str) -> None:
    enough = mauve(some_texts(20, seed=0), some_texts(20, seed=1), featuriser=featuriser, tokens=TOKENS)
    few = mauve(some_texts(19, seed=0), some_texts(19, seed=1), featuriser=featuriser, tokens=TOKENS)
    none = mauve([], [], featuriser=featuriser, tokens=TOKENS)
    assert not np.isnan(enough.values).any()
    for found in (few, none):
        assert np.isnan(found.values).all()
        assert all(math.isnan(x) for x in (found.mean, found.low, found.high, found.deviation))
        assert found.bins == 0
    assert (few.n_human, none.n_human) == (19, 0)


def made(values: Sequence[float]) -> Mauve:
    return Mauve(np.array(values), tuple(range(len(values))), 800, 800, 0, 0, 128, 80, "gpt2")


def test_spread_by_hand() -> None:
    found = made([0.8, 0.9, 0.85])
    assert (found.mean, found.low, found.high) == (pytest.approx(0.85), 0.8, 0.9)
    assert found.deviation == pytest.approx(0.05)
    assert math.isnan(made([0.8]).deviation)
    assert math.isnan(made([]).mean)


def test_pairs_need_partners(featuriser: str) -> None:
    human, written = some_texts(30, seed=0), some_texts(25, seed=1)
    with pytest.raises(ValueError, match="not 30 and 25"):
        mauve(human, written, featuriser=featuriser, tokens=TOKENS)
    found = mauve(human, written, featuriser=featuriser, tokens=TOKENS, seeds=[1], paired=False)
    assert (found.n_human, found.n_written, found.bins) == (30, 25, 2)


def test_all_problems_are_told_at_once(featuriser: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "mauve", None)
    with pytest.raises(UserError) as caught:
        mauve([], [], featuriser=featuriser, tokens=65, device="meta")
    missing, device, tokens = caught.value.problems
    assert pip_install("mauve-text") in missing
    assert "--device meta" in device
    assert "tokens 65: give 1 to 64" in tokens
    monkeypatch.undo()
    with pytest.raises(UserError, match="no such model folder"):
        mauve([], [], featuriser=str(tmp_path / "nothing"))


def test_the_embedded_model_is_a_featuriser() -> None:
    found = mauve(some_texts(20, seed=0), some_texts(20, seed=1), featuriser="builtin:tiny", tokens=12, seeds=[0])
    assert 0 < found.values[0] <= 1


def test_first_tokens() -> None:
    tokenizer = tiny_tokenizer()
    ids: list[NDArray[np.int64]] = [np.array(tokenizer(text)["input_ids"]) for text in ("abcdef", "abcd")]
    assert first_tokens(tokenizer, ["abcdef", "abcd", "abc", ""], 4) == [
        ids[0][:4].tolist(),
        ids[1].tolist(),
        None,
        None,
    ]
    assert first_tokens(tokenizer, [], 4) == []


def test_progress(featuriser: str) -> None:
    done: list[int] = []
    features(tiny_model("gpt2"), random_ids(5, 8).tolist(), batch_size=2, advance=done.append)
    assert done == [2, 2, 1]
    assert torch.is_grad_enabled()
