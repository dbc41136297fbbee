"""The share of words: by hand, by its properties, near 1 for human text and far below for broken text."""

import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperfit.metrics.text.words as module
from hyperfit.data.reading.sources import read_documents
from hyperfit.metrics.estimate import estimate, paired_difference
from hyperfit.metrics.text.words import (
    LANGUAGES,
    Lexicon,
    language_words,
    lexicon_of,
    whole_words,
    word_share,
    word_share_of_excerpt,
    word_shares,
)
from hyperfit.models.loading import load_tokenizer

SMALL = Lexicon("en", frozenset("the old boat don't was well known o'clock s café".split()), frozenset({"haldis"}))


@pytest.mark.parametrize(
    ("text", "share"),
    [
        (" the old boat.", 1),
        (" the theboat boat.", 2 / 3),
        (" the the the theboat.", 3 / 4),  # each occurrence counts
        (" the old bo", 1),  # the end may be cut
        (" the old don'", 1),  # and so may a word before an apostrophe
        (" the old boat don", 1),
        (" THE Old Boat,", 1),
        (" don't don’t doesn't.", 2 / 3),
        (" well-known well-knowen.", 1 / 2),
        (" the boat's, Haldis' and Haldis's;", 3 / 4 + 1 / 20),  # only "and" is not there
        (" the 1912 boat—the 3rd, 40 boats2!", 1),  # what touches a digit is no word
        (" the_old boat.", 1),
        (" cafe\u0301 café.", 1),  # composed or not
        (" 12, 13 — 14.", math.nan),
        (" boat", math.nan),
        ("", math.nan),
    ],
)
def test_by_hand(text: str, share: float) -> None:
    assert word_share(text, SMALL) == pytest.approx(share, nan_ok=True)


def test_the_context_gives_names_and_the_beginning_of_a_word() -> None:
    assert word_share(" Sorcha was old.", SMALL) == pytest.approx(2 / 3)
    assert word_share(" Sorcha was old.", SMALL, "The boat of Sorcha's") == pytest.approx(2 / 3), "another word"
    assert word_share(" Sorcha was old.", SMALL, "The boat of Sorcha") == 1
    assert word_share("cha was old.", SMALL, "The boat of Sor") == 1, "it begins inside a word"
    assert word_share("'t was old.", SMALL, "The boat don") == 1
    assert word_share(" Sor was old.", SMALL, "The boat of Sor") == 1
    assert word_share(" Sor was old.", SMALL, "The boat of Sorcha") == pytest.approx(2 / 3)
    assert word_share("was old.", SMALL, "The boat ") == 1


def test_training_text_counts_and_its_ends_do_not() -> None:
    found = lexicon_of(["haldis rowed the boat to Skjalda and then to Mago"])
    assert found is not None
    assert (found.language, "skjalda" in found.own) == ("en", True)
    assert not {"haldis", "mago"} & found.own
    assert word_share(" Skjalda, Mago.", found) == 1 / 2
    assert list(whole_words("a b-c d' e.")) == ["b-c", "d", "e"]


def test_the_language_is_told_by_the_human_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LANGUAGES", ("en", "de", "ru"))
    german = "Der alte Mann ging am Abend über die Straße, und niemand wusste, wohin er wollte."
    finnish = "Vanha mies käveli illalla tien yli, eikä kukaan tiennyt, minne hän oli menossa huomenna."
    found = lexicon_of([german])
    assert found is not None
    assert found.language == "de"
    assert word_share(" Die Straße war alt, sagte niemnad.", found) == pytest.approx(5 / 6)
    assert lexicon_of([], [german]) == Lexicon("de", language_words("de")), "its words do not count"
    assert lexicon_of([finnish]) is None
    nothing = lexicon_of([], ["1 2 3"])
    assert nothing is not None
    assert nothing.language == LANGUAGES[0] == "en"


words = st.sampled_from(["boat", "old", "the", "Boat", "bbb", "oldold", "x-y"])


@given(st.lists(words, min_size=1, max_size=12))
def test_it_is_the_share_of_occurrences_in_any_order(drawn: list[str]) -> None:
    share = word_share(f" {' '.join(drawn)}.", SMALL)
    assert share == pytest.approx(sum(word in ("boat", "old", "the", "Boat") for word in drawn) / len(drawn))
    assert share == pytest.approx(word_share(f" {', '.join(reversed(drawn))}.", SMALL))
    assert share == pytest.approx(word_share(f" {' '.join(drawn * 3)}.".upper(), SMALL)), "a loop is no better or worse"


@given(st.text(max_size=60), st.text(max_size=20))
def test_any_text_has_a_share_or_none(text: str, context: str) -> None:
    share = word_share(text, SMALL, context)
    assert math.isnan(share) or 0 <= share <= 1
    assert share <= word_share(text, Lexicon("en", SMALL.words | set(whole_words(text))), context) or math.isnan(share)


@given(st.text("ab '-.", max_size=30), st.integers(0, 30))
def test_more_text_never_makes_a_counted_word_another(text: str, cut: int) -> None:
    assert list(whole_words(text[:cut])) == list(whole_words(text))[: len(list(whole_words(text[:cut])))]


def shares(rows: Sequence[Sequence[int]], contexts: Sequence[Sequence[int]], lexicon: Lexicon | None) -> list[float]:
    return word_shares(load_tokenizer("builtin:tiny"), contexts, rows, lexicon)


def test_human_text_is_near_1_and_broken_text_far_below() -> None:
    tokenizer = load_tokenizer("builtin:tiny")
    train, _ = read_documents("builtin:fiction")
    lexicon = lexicon_of(document.text for document in train)
    human: list[list[int]] = []
    for kind in ("fiction", "news", "wiki"):
        ids = [tokenizer(document.text)["input_ids"][:256] for document in read_documents(f"builtin:{kind}")[1]]
        written = [row[32:] for row in ids]
        assert estimate(shares(written, [row[:32] for row in ids], lexicon)).low > 0.96, kind
        human += written
    rng = random.Random(0)
    tokens = [token for row in human for token in row]
    broken = [rng.choices(tokens, k=len(row)) for row in human]
    found = estimate(shares(broken, [[]] * len(broken), lexicon))
    assert found.high < 0.8, "whole words among the tokens count, though"
    nothing = [[]] * len(human)
    assert paired_difference(shares(human, nothing, lexicon), shares(broken, nothing, lexicon)).low > 0.15
    assert all(map(math.isnan, shares(human, nothing, None)))


def test_a_word_broken_in_two_or_two_made_one_counts_against_a_text() -> None:
    lexicon = Lexicon("en", language_words("en"))
    assert word_share(" He had beenappointed to the post at the endof winter.", lexicon) == pytest.approx(8 / 10)
    assert word_share(" He had been appointed to the post at the end of winter.", lexicon) == 1


def test_bytes_that_are_no_character_break_a_word() -> None:
    lexicon = Lexicon("en", frozenset({"the", "old", "with", "me"}))
    assert word_share(" with the\ufffd me.", lexicon) == pytest.approx(2 / 3)
    assert word_share(" the old\ufffd, the old.", lexicon) == pytest.approx(3 / 4)


def test_an_excerpts_ends_may_be_cut_and_do_not_count() -> None:
    assert word_share_of_excerpt("orch the boat zzk was ol", SMALL) == 3 / 4
    assert word_share_of_excerpt(" the Sorcha boat was", SMALL) == 2 / 3
    assert word_share_of_excerpt(" the Sorcha boat was", SMALL, "In Sorcha we") == 1
    assert math.isnan(word_share_of_excerpt("boat", SMALL))
