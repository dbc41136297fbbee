"""Self-BLEU: equal to sacrebleu's with all other texts as references, whichever way the texts came."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from hyperfit.metrics.text.bleu import bleu_counts
from hyperfit.metrics.text.self_bleu import SelfBleu, self_bleu

some_texts = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=20), min_size=2, max_size=6)
any_texts = st.lists(st.lists(st.integers(0, 3), max_size=12), max_size=6)


def sacrebleu_of_each(texts: list[list[int]]) -> list[float]:
    """Every text against all others, by sacrebleu."""
    trusted = BLEU(tokenize="none", effective_order=True)
    lines = [" ".join(map(str, text)) for text in texts]
    return [trusted.sentence_score(line, lines[:i] + lines[i + 1 :]).score for i, line in enumerate(lines)]


def against_all_others(texts: list[list[int]]) -> list[float]:
    """Every text against all others, one at a time."""
    return [float(bleu_counts([text], texts[:i] + texts[i + 1 :]).per_text()[0]) for i, text in enumerate(texts)]


@settings(max_examples=200)
@given(some_texts)
def test_equal_to_sacrebleu(texts: list[list[int]]) -> None:
    assert self_bleu(texts).tolist() == pytest.approx(sacrebleu_of_each(texts))


def test_equal_to_sacrebleu_on_longer_texts() -> None:
    rng = np.random.default_rng(0)
    texts = [(rng.zipf(1.3, length) % 500).tolist() for length in rng.integers(40, 120, 25)]
    assert self_bleu(texts).tolist() == pytest.approx(sacrebleu_of_each(texts))


@settings(max_examples=200)
@given(any_texts)
def test_equal_to_one_text_at_a_time(texts: list[list[int]]) -> None:
    assert self_bleu(texts).tolist() == pytest.approx(against_all_others(texts), nan_ok=True)


@given(any_texts)
def test_scores_may_be_asked_for_at_any_time(texts: list[list[int]]) -> None:
    growing = SelfBleu()
    for count, text in enumerate(texts, 1):
        growing.add(text)
        assert growing.scores().tolist() == pytest.approx(self_bleu(texts[:count]).tolist(), nan_ok=True)


@given(st.data(), some_texts)
def test_order_of_the_texts_does_not_matter(data: st.DataObject, texts: list[list[int]]) -> None:
    order = data.draw(st.permutations(range(len(texts))))
    assert self_bleu([texts[i] for i in order]).tolist() == pytest.approx(self_bleu(texts)[order].tolist())


@given(some_texts)
def test_texts_that_stand_twice_score_100(texts: list[list[int]]) -> None:
    assert self_bleu(texts + texts).tolist() == pytest.approx([100] * 2 * len(texts))


def test_by_hand() -> None:
    # 1 1 2 holds one 1 more than 1 2 does: unigrams 2/3, bigrams 1 of 2 (1 1 is its own), trigrams none of 1
    one, other, stranger = self_bleu([[1, 1, 2], [1, 2], [8, 9]])
    assert one == pytest.approx(100 * (2 / 3 * 1 / 2 * 1 / 2) ** (1 / 3))
    assert other == pytest.approx(100)  # the closest length is that of 8 9: no penalty
    assert stranger == 0


def test_undefined() -> None:
    assert np.isnan(self_bleu([[1, 2, 3]])).tolist() == [True]
    assert np.isnan(self_bleu([[], [1, 2], [1, 2]])).tolist() == [True, False, False]
    assert self_bleu([]).tolist() == []
