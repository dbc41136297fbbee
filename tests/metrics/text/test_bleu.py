"""BLEU on token ids: equal to sacrebleu's, and the training data as references in chunks."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU

from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.text.bleu import bleu_counts, closest

some_texts = st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=20), min_size=1, max_size=5)
any_texts = st.lists(st.lists(st.integers(0, 4), max_size=12), min_size=1, max_size=5)


def words(text: list[int]) -> str:
    return " ".join(map(str, text))


def sacrebleu_of_texts(texts: list[list[int]], references: list[list[int]]) -> list[float]:
    trusted = BLEU(tokenize="none", effective_order=True)
    return [trusted.sentence_score(words(text), [words(other) for other in references]).score for text in texts]


def sacrebleu_of_corpus(texts: list[list[int]], references: list[list[int]]) -> float:
    streams = [[words(reference)] * len(texts) for reference in references]
    return BLEU(tokenize="none").corpus_score([words(text) for text in texts], streams).score


def matched_by_definition(text: list[int], references: list[list[int]], n: int) -> int:
    """Each n-gram of the text as often as it stands there, but not oftener than in any one reference."""
    own, *others = (Counter(tuple(t[i : i + n]) for i in range(len(t) - n + 1)) for t in (text, *references))
    return sum(min(times, max((other[ngram] for other in others), default=0)) for ngram, times in own.items())


@settings(max_examples=200)
@given(some_texts, any_texts)
def test_each_text_is_equal_to_sacrebleu(texts: list[list[int]], references: list[list[int]]) -> None:
    assert bleu_counts(texts, references).per_text().tolist() == pytest.approx(sacrebleu_of_texts(texts, references))


@settings(max_examples=200)
@given(some_texts, any_texts)
def test_corpus_is_equal_to_sacrebleu(texts: list[list[int]], references: list[list[int]]) -> None:
    value = bleu_counts(texts, references).corpus().value
    if all(len(text) < 4 for text in texts):
        assert math.isnan(value)  # sacrebleu calls it 0
    else:
        assert value == pytest.approx(sacrebleu_of_corpus(texts, references))


@given(any_texts, any_texts, st.integers(1, 30))
def test_counts_are_those_of_the_definition_in_chunks_of_any_size(
    texts: list[list[int]], references: list[list[int]], chunk: int
) -> None:
    counts = bleu_counts(texts, references, chunk)
    orders = range(1, 5)
    assert counts.matched.tolist() == [[matched_by_definition(text, references, n) for n in orders] for text in texts]
    assert counts.total.tolist() == [[max(len(text) - n + 1, 0) for n in orders] for text in texts]


def test_by_hand() -> None:
    # 1 2 3 4 5 against 1 2 3 4 6 and 9: unigrams 4/5, bigrams 3/4, trigrams 2/3, quadruples 1/2; no penalty
    counts = bleu_counts([[1, 2, 3, 4, 5]], [[1, 2, 3, 4, 6], [9]])
    assert counts.matched.tolist() == [[4, 3, 2, 1]]
    assert counts.per_text()[0] == pytest.approx(100 * (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** (1 / 4))
    # 1 2 3 against 1 2 4 4: orders 1 to 3 only, of which the third counts as 1/2 of one; too short by 1 of 4
    short = bleu_counts([[1, 2, 3]], [[1, 2, 4, 4]]).per_text()[0]
    assert short == pytest.approx(100 * math.exp(1 - 4 / 3) * (2 / 3 * 1 / 2 * 1 / 2 / 1) ** (1 / 3))
    # 1 1 1 against 1 and 1 1: clipped at two, not at three
    assert bleu_counts([[1, 1, 1]], [[1], [1, 1]]).matched.tolist() == [[2, 1, 0, 0]]


def test_ends_of_the_range() -> None:
    training = [[1, 2, 3, 4, 5, 6], [7, 8, 9, 10]]
    assert bleu_counts([[1, 2, 3, 4, 5, 6], [11, 12]], training).per_text().tolist() == pytest.approx([100, 0])


def test_undefined() -> None:
    assert math.isnan(bleu_counts([[]], [[1, 2]]).per_text()[0])
    assert math.isnan(bleu_counts([[1, 2]], []).per_text()[0])
    assert math.isnan(bleu_counts([[1, 2]], []).corpus().value)
    assert bleu_counts([], [[1]]).per_text().tolist() == []
    empty = bleu_counts([], [[1]]).corpus()
    assert math.isnan(empty.value)
    assert empty.n == 0


@given(st.data(), some_texts, any_texts)
def test_order_of_the_references_does_not_matter(
    data: st.DataObject, texts: list[list[int]], references: list[list[int]]
) -> None:
    shuffled = data.draw(st.permutations(references))
    assert bleu_counts(texts, shuffled).per_text().tolist() == bleu_counts(texts, references).per_text().tolist()


@given(some_texts, any_texts, any_texts)
def test_more_references_never_match_less(
    texts: list[list[int]], references: list[list[int]], more: list[list[int]]
) -> None:
    assert (bleu_counts(texts, references + more).matched >= bleu_counts(texts, references).matched).all()


@given(st.lists(st.integers(0, 30), max_size=8), st.lists(st.integers(0, 30), min_size=1, max_size=8))
def test_closest_length_is_the_shorter_of_two(lengths: list[int], references: list[int]) -> None:
    found = closest(np.array(lengths, np.int64), np.array(references)).tolist()
    assert found == [min(references, key=lambda other: (abs(other - length), other)) for length in lengths]


def test_interval_of_a_corpus_is_that_of_resampled_texts() -> None:
    rng = np.random.default_rng(1)
    references = rng.integers(0, 9, (10, 30)).tolist()
    texts = [[*rng.integers(0, 9, 20).tolist(), *references[i][:length]] for i, length in enumerate(range(0, 20, 2))]
    found = bleu_counts(texts, references).corpus()
    drawn = [
        sacrebleu_of_corpus([texts[i] for i in rng.integers(0, len(texts), len(texts))], references) for _ in range(300)
    ]
    spread = np.quantile(drawn, 0.975) - np.quantile(drawn, 0.025)
    assert found.n == 10
    assert found.low < found.value < found.high
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.2 * spread)
    one = bleu_counts(texts[:1], references).corpus()
    assert one.to_dict() == Estimate(one.value, math.nan, math.nan, 1).to_dict()


def test_a_verbatim_excerpt_scores_100_whatever_its_length() -> None:
    training = [list(range(256)), list(range(300, 500))]
    excerpts = [training[0][10:70], training[1][5:200], [7, 8, 9, 10, 11]]
    assert bleu_counts(excerpts, training).of_excerpts().per_text().tolist() == pytest.approx([100, 100, 100])
    assert bleu_counts(excerpts, training).per_text()[0] < 10
    longer = bleu_counts([list(range(256)) * 2], training)
    assert longer.of_excerpts().per_text().tolist() == longer.per_text().tolist()
    assert math.isnan(bleu_counts([[1, 2]], []).of_excerpts().per_text()[0])
