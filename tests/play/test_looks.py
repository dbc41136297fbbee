"""How tokens of a growing text look, worked by hand."""

from hypothesis import given, settings
from hypothesis import strategies as st

from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.play.tokens.looks import GrowingText, Look
from hyperfit.report.texts.repetition import repeated_spans

WORDS = ["", " the", " old", " dog", " sat", ".", " And", "\n", " then", " it", " slept"]


def decode(ids: list[int]) -> str:
    return "".join(WORDS[token] for token in ids)


def grown(ids: list[int], training: list[list[int]] | None = None) -> tuple[list[Look], list[set[int]]]:
    """The looks in the end, put together from what each step says has changed; and what each step has changed."""
    text = GrowingText(decode, None if training is None else TrainingIndex(training))
    shown: dict[int, Look] = {}
    changes = []
    for token in ids:
        changed = text.add(token)
        shown |= changed
        changes.append(set(changed))
    return [shown[number] for number in range(len(ids))], changes


def test_a_repeated_span_is_coloured_once_it_is_said_again() -> None:
    looks, changes = grown([1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 8])
    assert [look.text for look in looks] == [WORDS[token] for token in (1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 8)]
    assert [look.colour for look in looks] == [0, 0, 0, 0, 0, None, 0, 0, 0, 0, None]
    assert [number for number, look in enumerate(looks) if look.first] == [0, 6]
    assert changes[:9] == [{number} for number in range(9)]
    assert changes[9] == {0, 1, 2, 3, 4, 6, 7, 8, 9}, "the words that stood there already get their colour"
    assert changes[10] == {10}


def test_what_is_recited_names_the_first_sequence_that_has_it() -> None:
    training = [[9, 9, 9], [2, 1, 2, 3, 4, 6, 1, 2, 8, 7], [1, 2, 3, 4, 6, 1, 2, 8]]
    looks, changes = grown([5, 1, 2, 3, 4, 6, 1, 2, 8, 10, 9], training)
    assert [look.recited for look in looks] == [None, *[1] * 8, None, None]
    assert changes[8] == {1, 2, 3, 4, 5, 6, 7, 8}
    assert all(look.recited is None for look in grown([1, 2, 3, 4, 6, 1, 2], training)[0]), "seven tokens are too few"


def test_a_character_of_several_tokens_is_that_of_its_last() -> None:
    def whole(ids: list[int]) -> str:
        return bytes(ids).decode(errors="ignore")

    text = GrowingText(whole)
    shown: dict[int, Look] = {}
    for byte in "aé!".encode():
        shown |= text.add(byte)
    assert [shown[number].text for number in range(4)] == ["a", "", "é", "!"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, len(WORDS) - 1), max_size=40))
def test_looks_make_up_the_text_and_colour_what_repeats(ids: list[int]) -> None:
    looks, _ = grown(ids)
    assert "".join(look.text for look in looks) == decode(ids)
    coloured = "".join(look.text for look in looks if look.colour is not None)
    expected = "".join(piece for piece, colour in repeated_spans(decode(ids)) if colour is not None)
    assert "".join(coloured.split()) == "".join(expected.split())
