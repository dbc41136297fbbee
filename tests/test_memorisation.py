"""Longest overlap with the training data: exact, against a search through all pairs."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfit.measure.memorisation import longest_overlaps

# two letters: long runs are shared by chance, and every text repeats itself
texts_of_two_letters = st.lists(st.lists(st.integers(0, 1), max_size=25), max_size=5)
texts_of_four_letters = st.lists(st.lists(st.integers(0, 3), max_size=25), max_size=5)


def longest_common_run(text: list[int], training: list[list[int]]) -> int:
    """The textbook table: entry [i][j] is the common run that ends at token i of one and token j of the other."""
    longest = 0
    for sequence in training:
        above = [0] * (len(sequence) + 1)
        for token in text:
            row = [0]
            for j, other in enumerate(sequence):
                row.append(above[j] + 1 if token == other else 0)
            longest = max(longest, *row)
            above = row
    return longest


@settings(max_examples=300)
@given(texts_of_two_letters, texts_of_two_letters)
def test_agrees_with_a_search_through_all_pairs(texts: list[list[int]], training: list[list[int]]) -> None:
    assert longest_overlaps(texts, training).tolist() == [longest_common_run(text, training) for text in texts]


@settings(max_examples=150)
@given(texts_of_four_letters, texts_of_four_letters)
def test_agrees_on_rarer_overlaps(texts: list[list[int]], training: list[list[int]]) -> None:
    assert longest_overlaps(texts, training).tolist() == [longest_common_run(text, training) for text in texts]


def test_nothing_to_compare() -> None:
    assert longest_overlaps([], [[1, 2]]).tolist() == []
    assert longest_overlaps([[1, 2], [3]], []).tolist() == [0, 0]
    assert longest_overlaps([[], [1]], [[], [1]]).tolist() == [0, 1]


def test_by_hand() -> None:
    training = [[1, 2, 3, 4, 5], [6, 7, 8]]
    texts = [
        [9, 2, 3, 4, 9],  # 2 3 4
        [1, 2, 3, 4, 5, 6, 7, 8],  # 1 2 3 4 5; going on with 6 7 8 would cross into the next training sequence
        [4, 5, 6, 7],  # 4 5 or 6 7, not 4 5 6 7
        [10, 11],  # nothing
        [8],  # 8
        [1, 2, 3, 4, 5],  # all of it
        [5, 4, 3, 2, 1],  # one token, as the order is another
    ]
    assert longest_overlaps(texts, training).tolist() == [3, 5, 2, 0, 1, 5, 1]


def test_overlap_between_texts_does_not_count() -> None:
    assert longest_overlaps([[5, 6, 7, 8], [5, 6, 7, 8]], [[1, 2, 5]]).tolist() == [1, 1]


def test_end_of_one_sequence_does_not_match_the_end_of_another() -> None:
    assert longest_overlaps([[1, 2]], [[9, 2], [3, 2]]).tolist() == [1]


def test_planted_span_is_found() -> None:
    rng = np.random.default_rng(0)
    training = rng.integers(0, 1000, size=(40, 100))
    texts = rng.integers(1000, 2000, size=(6, 80))
    spans = [0, 1, 10, 31, 64, 80]
    for number, (text, span) in enumerate(zip(texts, spans, strict=True)):
        start = rng.integers(0, 80 - span + 1)
        text[start : start + span] = training[7 * number, 20 - number : 20 - number + span]
    overlaps = longest_overlaps(texts.tolist(), training.tolist())
    assert overlaps.tolist() == spans
    assert overlaps.dtype == np.int64
