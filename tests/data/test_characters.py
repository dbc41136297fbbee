"""Cuts between tokens that are bytes: they move to the end of a character, and strings leave cut characters out."""

import pytest

from hyperfit.data.characters import character_end, excerpt, without_cut_end
from tiny_models import END, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
TEXT = "aé言😀b"
"""Characters of 1, 2, 3, 4 and 1 bytes, which are tokens here; they end at 1, 3, 6, 10 and 11."""


@pytest.mark.parametrize(("most", "end"), [*enumerate([1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11], start=1)])
def test_a_cut_moves_back_to_the_end_of_a_character(most: int, end: int) -> None:
    assert character_end(TOKENIZER, TOKENIZER.encode(TEXT), most) == end


def test_a_cut_stays_where_no_character_ends_near() -> None:
    ids = TOKENIZER.encode("😀")
    assert character_end(TOKENIZER, ids, 3) == 3
    assert character_end(TOKENIZER, [*ids[:1]] * 9, 8) == 8


def test_an_excerpt_has_only_whole_characters() -> None:
    ids = TOKENIZER.encode("言😀b言")
    assert excerpt(TOKENIZER, [END, *ids]) == "言😀b言"
    assert [excerpt(TOKENIZER, ids[start:]) for start in (1, 2, 3, 4, 6, 7)] == ["😀b言"] * 3 + ["b言"] * 3
    assert [excerpt(TOKENIZER, ids[:end]) for end in (10, 9, 8, 7, 6)] == ["言😀b"] * 3 + ["言😀", "言"]


def test_what_is_broken_inside_or_longer_than_a_character_stays() -> None:
    assert without_cut_end("a\ufffdb\ufffd") == "a\ufffdb"
    assert without_cut_end("a" + 5 * "\ufffd") == "a\ufffd\ufffd"
