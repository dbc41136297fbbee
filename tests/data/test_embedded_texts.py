"""The embedded texts: as many as promised, of one size, no two alike, in plain prose."""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from hyperfit.data.builtin import TEXTS, text_source

IN_ALL = {"fiction": 96, "news": 48, "wiki": 48}
HELD_OUT = 24
WORDS = range(260, 401)
RUN = 8
"""Words in a row that no two texts share."""
OPENING = 4
"""Words with which no two texts begin."""

STOCK_PHRASES = (
    r"a testament to",
    r"tapestry",
    r"(couldn't|could not) help but",
    r"a breath (he|she|they|I) (didn't|did not|hadn't|had not)",
    r"let out a (long |slow |shaky )?breath",
    r"something shifted",
    r"shivers? (ran )?down",
    r"little did (he|she|they|I|we) know",
    r"thick with",
    r"hung (heavy|in the air)",
    r"in the heart of",
    r"nestled",
    r"bustling",
    r"vibrant",
    r"delv(e|es|ed|ing)",
    r"ever-(changing|evolving)",
    r"rich (history|heritage|cultural)",
    r"(stark|gentle|constant) reminder",
    r"game.changer",
    r"underscor(e|es|ed|ing)",
    r"pivotal",
    r"beacon of",
    r"symphony of",
    r"danc(e of|ed across)",
    r"dust motes",
    r"barely above a whisper",
    r"ghost of a smile",
    r"like a (promise|prayer|secret)",
    r"the weight of",
    r"somehow",
    r"unspoken",
    r"in that moment",
    r"time seemed to",
    r"eyes (widened|sparkled|gleamed)",
    r"heart (pounded|pounding|raced|racing)",
    r"a mix of",
    r"not (just|only|merely) [^.;]{1,60}, but",
    r"(wasn't|was not|more than) just",
    r"palpable",
    r"whispers? of",
    r"a sense of",
    r"the silence (stretched|between)",
    r"unwavering",
    r"bittersweet",
    r"kaleidoscope",
    r"plays? a (key|vital|crucial|significant) role",
    r"it is worth noting",
    r"in conclusion",
)
"""What machine prose falls back on."""
STOCK = re.compile(rf"\b({'|'.join(STOCK_PHRASES)})\b", re.IGNORECASE)


def words(text: str) -> list[str]:
    """The words in lower case, without punctuation."""
    return re.findall(r"\w+(?:['-]\w+)*", text.lower())


def shared(documents: Mapping[str, str], run: int) -> set[tuple[str, frozenset[str]]]:
    """Runs of words that stand in two documents or more, with the names of those."""
    owners: dict[str, set[str]] = defaultdict(set)
    for name, text in documents.items():
        row = words(text)
        for start in range(len(row) - run + 1):
            owners[" ".join(row[start : start + run])].add(name)
    return {(phrase, frozenset(names)) for phrase, names in owners.items() if len(names) > 1}


def same_openings(documents: Mapping[str, str], count: int) -> set[frozenset[str]]:
    """Documents that begin with the same words."""
    openings: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for name, text in documents.items():
        openings[tuple(words(text)[:count])].add(name)
    return {frozenset(names) for names in openings.values() if len(names) > 1}


def odd_characters(text: str) -> set[str]:
    """Characters that are neither ASCII, letters, nor signs of money: curly quotes, dashes, ellipses, spaces."""
    ascii_odd = set("*#_\t\r") & set(text)
    return ascii_odd | {c for c in text if not c.isascii() and unicodedata.category(c)[0] != "L" and c != "£"}


@pytest.fixture(scope="module")
def documents() -> dict[str, str]:
    """Every embedded text by its path, such as wiki/heldout/wa-01.txt."""
    folders = [Path(text_source(f"builtin:{kind}")) for kind in TEXTS]
    return {
        "/".join(path.parts[-3:]): path.read_bytes().decode("utf-8")
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def in_folder(documents: Iterable[str], kind: str, part: str) -> int:
    return sum(name.startswith(f"{kind}/{part}/") for name in documents)


def test_there_are_as_many_as_promised(documents: dict[str, str]) -> None:
    assert set(IN_ALL) == set(TEXTS)
    assert all(name.endswith(".txt") for name in documents)
    for kind, least in IN_ALL.items():
        train, heldout = (in_folder(documents, kind, part) for part in ("train", "heldout"))
        assert train + heldout >= least, kind
        assert heldout >= HELD_OUT, kind
        assert train + heldout == sum(name.startswith(f"{kind}/") for name in documents), "none outside the two parts"


def test_each_is_of_one_size(documents: dict[str, str]) -> None:
    assert {name: len(text.split()) for name, text in documents.items() if len(text.split()) not in WORDS} == {}


def test_no_two_share_a_run_of_words(documents: dict[str, str]) -> None:
    assert shared(documents, RUN) == set()


def test_no_two_begin_alike(documents: dict[str, str]) -> None:
    assert same_openings(documents, OPENING) == set()


def test_no_stock_phrases(documents: dict[str, str]) -> None:
    found = {name: match[0] for name, text in documents.items() if (match := STOCK.search(text))}
    assert found == {}


def test_plain_punctuation(documents: dict[str, str]) -> None:
    assert {name: odd for name, text in documents.items() if (odd := odd_characters(text))} == {}
    assert [name for name, text in documents.items() if "--" in text or " - " in text] == []


def test_paragraphs_of_one_line_each(documents: dict[str, str]) -> None:
    for name, text in documents.items():
        assert text.endswith("\n"), name
        paragraphs = text.removesuffix("\n").split("\n\n")
        assert len(paragraphs) >= 3, name
        assert all(paragraph and paragraph == " ".join(paragraph.split()) for paragraph in paragraphs), name


def test_the_checks_find_what_they_look_for() -> None:
    one = "One two three, four five six seven eight nine."
    two = 'Zero. Two: three four "five" six\n\nseven EIGHT nine!'
    assert shared({"a": one, "b": two}, 8) == {("two three four five six seven eight nine", frozenset("ab"))}
    assert shared({"a": one, "b": two}, 9) == set()
    assert shared({"a": one + " " + one}, 8) == set(), "between documents only"
    assert same_openings({"a": "One two, three four.", "b": "one two three four five", "c": "One two"}, 4) == {
        frozenset("ab")
    }
    assert STOCK.search("It was A Testament to the goat.")
    assert STOCK.search("not only the goat, but the map")
    assert not STOCK.search("not only the goat. But the map, somewhere")
    assert odd_characters("Käse for £3 \u2014 \u201cyes\u201d\u2026\u00a0\t") == set("\u2014\u201c\u201d\u2026\u00a0\t")
