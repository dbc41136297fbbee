"""What stands in the training data: overlaps, novel n-grams, copied spans; each against a search through all pairs."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfit.metrics.copying.memorisation import (
    LEAST_COPIED,
    Span,
    copied_pieces,
    copied_spans,
    longest_overlaps,
    novel_shares,
)
from hyperfit.metrics.copying.training_index import TrainingIndex, suffix_array
from hyperfit.models.loading import load_tokenizer

tokenizer = load_tokenizer("builtin:tiny")

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


@given(st.lists(st.integers(-3, 3), max_size=40))
def test_suffixes_are_sorted(stream: list[int]) -> None:
    found = suffix_array(np.array(stream, np.int64)).tolist()
    assert found == sorted(range(len(stream)), key=lambda place: stream[place:])


@given(texts_of_two_letters, texts_of_two_letters)
def test_one_index_serves_many_texts(texts: list[list[int]], training: list[list[int]]) -> None:
    index = TrainingIndex(training)
    assert longest_overlaps(texts, index).tolist() == longest_overlaps(texts, training).tolist()
    one_by_one = [matches.length.tolist() for text in texts for matches in index.matches([text])]
    assert [matches.length.tolist() for matches in index.matches(texts)] == one_by_one


def runs(text: list[int], n: int) -> list[tuple[int, ...]]:
    return [tuple(text[start : start + n]) for start in range(len(text) - n + 1)]


@given(texts_of_two_letters | texts_of_four_letters, texts_of_two_letters | texts_of_four_letters)
def test_novel_shares_are_those_of_sets_of_ngrams(texts: list[list[int]], training: list[list[int]]) -> None:
    shares = novel_shares(texts, training, most=6)
    assert shares.shape == (len(texts), 6)
    for n in range(1, 7):
        seen = {run for sequence in training for run in runs(sequence, n)}
        for text, share in zip(texts, shares[:, n - 1], strict=True):
            own = runs(text, n)
            by_definition = sum(run not in seen for run in own) / len(own) if own else math.nan
            assert share == pytest.approx(by_definition, nan_ok=True)


@given(texts_of_two_letters, texts_of_two_letters)
def test_longer_ngrams_are_never_less_novel(texts: list[list[int]], training: list[list[int]]) -> None:
    for row in novel_shares(texts, training).tolist():
        defined = [share for share in row if not math.isnan(share)]
        assert defined == sorted(defined)


def test_novel_shares_by_hand() -> None:
    # 1 2 3 7: tokens 7 of four; pairs 3 7 of three; triples 2 3 7 of two; the quadruple
    shares = novel_shares([[1, 2, 3, 7], [1]], [[1, 2, 3], [3, 3, 9]], most=5)
    assert shares[0, :4].tolist() == [1 / 4, 1 / 3, 1 / 2, 1]
    assert shares[1, 0] == 0
    assert np.isnan(shares[0, 4])
    assert np.isnan(shares[1, 1:]).all()
    assert novel_shares([], [[1]]).shape == (0, 10)
    assert novel_shares([[1, 2]], [], most=2).tolist() == [[1, 1]]


def spans_by_definition(text: list[int], training: list[list[int]], least: int) -> list[Span]:
    """Every run of the text that stands in the training data and is part of no longer one, at its first place there."""
    found = {}
    for length in range(len(text), least - 1, -1):
        for start in range(len(text) - length + 1):
            inside = any(s <= start and start + length <= s + n for s, n in found)
            places = [
                (document, offset)
                for document, sequence in enumerate(training)
                for offset in range(len(sequence) - length + 1)
                if sequence[offset : offset + length] == text[start : start + length]
            ]
            if places and not inside:
                found[start, length] = places[0]
    return [Span(start, length, *found[start, length]) for start, length in sorted(found)]


@given(st.lists(st.integers(0, 2), max_size=25), texts_of_two_letters | texts_of_four_letters, st.integers(1, 6))
def test_copied_spans_are_those_of_the_definition(text: list[int], training: list[list[int]], least: int) -> None:
    assert copied_spans(text, training, least) == spans_by_definition(text, training, least)


def test_copied_spans_by_hand() -> None:
    training = [[1, 2, 3, 4, 5], [3, 4, 5, 6, 7], [1, 2, 3, 4]]
    # 1 2 3 4 5 is in the first, 3 4 5 6 7 in the second, and they share 3 4 5 of the text
    text = [9, 1, 2, 3, 4, 5, 6, 7, 9, 4, 5, 9]
    assert copied_spans(text, training, least=3) == [Span(1, 5, 0, 0), Span(3, 5, 1, 0)]
    assert copied_spans(text, training, least=2) == [Span(1, 5, 0, 0), Span(3, 5, 1, 0), Span(9, 2, 0, 3)]
    assert copied_spans(text, training) == []
    assert LEAST_COPIED > 5
    assert copied_spans([], training) == []
    assert copied_spans(text, []) == []


def test_copied_pieces_by_hand() -> None:
    training = ["the cat sat on the mat", "on the mat it slept"]
    text = "once the cat sat on the mat it slept well"
    tokens = [list(line.encode()) for line in (text, *training)]
    pieces = copied_pieces(tokens[0], tokens[1:], lambda ids: bytes(ids).decode())
    assert pieces == [("once ", None), ("the cat sat on the mat", 0), (" it slept", 1), (" well", None)]


def test_a_character_cut_in_two_goes_to_the_piece_of_its_last_token() -> None:
    def decode(tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="replace")

    # é is c3 a9, è is c3 a8: both begin alike, so the copied run ends within the character
    text, training = "abcdefgé!".encode(), "abcdefgè?".encode()
    assert copied_pieces(list(text), [list(training)], decode) == [("abcdefg", 0), ("é!", None)]


@settings(max_examples=50)
@given(st.data(), st.lists(st.text(max_size=30), min_size=1, max_size=4), st.integers(1, 4))
def test_pieces_concatenate_to_the_text_under_a_real_tokenizer(
    data: st.DataObject, documents: list[str], least: int
) -> None:
    training = [tokenizer(document)["input_ids"] for document in documents]
    ids = st.sampled_from([*{token for document in training for token in document}, 5, 40, 300])
    text = data.draw(st.sampled_from(training)) + data.draw(st.lists(ids, max_size=12))
    pieces = copied_pieces(text, training, tokenizer.decode, least)
    assert "".join(piece for piece, _ in pieces) == tokenizer.decode(text)
    assert {document for _, document in pieces} <= {None, *range(len(training))}
