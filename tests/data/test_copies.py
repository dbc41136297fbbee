"""Near-copies: found by what they share, counted by hand, and never on both sides of a split."""

import json
import math
import unicodedata
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.data.builtin import TEXTS
from hyperfit.data.contexts import evaluation_texts
from hyperfit.data.copies import LEAST, RUN, near_copies, normal_form, runs_of
from hyperfit.data.corpus import build_corpus
from hyperfit.data.reading.sources import read_documents
from hyperfit.data.split import split_documents
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from tiny_tokenizers import tiny_bpe

ALPHABET = "abcdefghijklmnopqrstuvwxyz"


def letters(seed: int, count: int) -> str:
    """Random letters: no run of 16 stands twice, or in those of another seed."""
    return "".join(np.random.default_rng(seed).choice(list(ALPHABET), count))


def prose(seed: int, words: int = 120) -> str:
    rng = np.random.default_rng(seed)
    return " ".join("".join(rng.choice(list(ALPHABET), rng.integers(2, 9))) for _ in range(words))


def together(*texts: str) -> bool:
    """Whether all are in one group, in whatever order they come."""
    found = {len(set(near_copies(order))) for order in (texts, texts[::-1])}
    assert len(found) == 1
    return found == {1}


def test_runs_are_counted_once() -> None:
    assert len(runs_of(letters(0, 50))) == 50 - RUN + 1
    assert len(runs_of("ab" * 50)) == 2
    assert len(runs_of("goat")) == len(runs_of(letters(0, RUN))) == 1
    assert len(runs_of("?! …")) == 0


def test_normal_form_by_hand() -> None:
    assert normal_form(" The\r\nca\u0301t\u00a0 sat\n") == "The cát sat"
    assert normal_form("ﬁne") == normal_form("fine") != normal_form("Fine")


@pytest.mark.parametrize(("shared", "alike"), [(199, False), (200, True)])
def test_half_of_the_shorter_text(shared: int, alike: bool) -> None:
    """400 different runs each, of which as many as said stand in both."""
    common = letters(0, shared + RUN - 1)
    one, two = (common + letters(seed, 400 - shared) for seed in (1, 2))
    assert len(runs_of(one)) == len(runs_of(two)) == 400
    assert together(one, two) == alike
    assert together(one, two + letters(3, 5000)) == alike


@pytest.mark.parametrize(("size", "shared", "alike"), [(150, LEAST, True), (150, LEAST - 1, False), (99, 98, False)])
def test_short_texts_share_a_hundred_runs_or_all(size: int, shared: int, alike: bool) -> None:
    common = letters(0, shared + RUN - 1)
    one, two = (common + letters(seed, size - shared) for seed in (1, 2))
    assert together(one, two) == alike


def test_short_texts_that_stand_whole_in_another() -> None:
    assert together(letters(0, 40), letters(1, 300) + letters(0, 40) + letters(2, 300))
    assert not together("goat", "the goat ate the map of the town")
    assert together("Goat!", "a goat"[2:])
    assert not together("?!", "...")
    assert near_copies([]) == []


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: text.replace(" ", "\r\n"),
        lambda text: unicodedata.normalize("NFD", text),
        lambda text: " ".join(word if i % 12 else "goat" for i, word in enumerate(text.split())),
        lambda text: text[100:350],
        lambda text: prose(7, 400) + text + prose(8, 400),
        lambda text: "".join(f"“{word}”, " for word in text.split()),
    ],
    ids=["case", "line ends", "NFD", "each 12th word", "excerpt", "inside another", "punctuation"],
)
def test_what_counts_as_a_near_copy(change) -> None:  # type: ignore[no-untyped-def]
    text = prose(0).replace("e", "é")
    assert together(text, change(text))
    assert not together(text, prose(1).replace("e", "é"))


def test_groups_are_closed_and_no_larger() -> None:
    """Windows over one text, each half in the next: one group; a quotation joins nothing."""
    long = letters(0, 2000)
    windows = [long[start : start + 600] for start in range(0, 1401, 200)]
    quoting = [letters(seed, 500) + long[:90] for seed in (1, 2, 3)]
    assert near_copies([*quoting, *windows])[:3] == [0, 1, 2]
    assert len(set(near_copies([*quoting, *windows]))) == 4


def test_a_formula_that_all_share_joins_nothing() -> None:
    formula = letters(0, 200)
    assert len(set(near_copies([formula + letters(seed, 400) for seed in range(1, 60)]))) == 59


def pair_by_pair(texts: list[str]) -> list[int]:
    """The groups by the rule as it is stated, each text beside each other one."""
    runs, group = [set(runs_of(text).tolist()) for text in texts], list(range(len(texts)))
    for one, other in combinations(range(len(texts)), 2):
        fewer = min(len(runs[one]), len(runs[other]))
        needed = min(fewer, max(LEAST, math.ceil(fewer / 2)))
        if 0 < needed <= len(runs[one] & runs[other]):
            group = [group[other] if number == group[one] else number for number in group]
    return group


def numbered(groups: list[int]) -> list[int]:
    """The same groups, each named by its first text."""
    return [groups.index(group) for group in groups]


PIECES = [letters(seed, 90) for seed in range(6)]
CUT = st.tuples(st.sampled_from(PIECES), st.integers(0, 60), st.integers(5, 90)).map(
    lambda cut: cut[0][cut[1] : cut[2]]
)


@given(st.lists(st.lists(CUT, max_size=8).map("".join), max_size=14))
def test_groups_are_those_of_all_pairs(texts: list[str]) -> None:
    """Texts put together from the same few pieces, so that all shares of common runs come up."""
    assert numbered(near_copies(texts)) == numbered(pair_by_pair(texts))


def write(path: Path, texts: list[str]) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    return str(path)


def sides(data: str, **changes: object) -> tuple[list[str], list[str]]:
    split = split_documents(Recipe(model="m", data=data, **changes))  # type: ignore[arg-type]
    return [document.text for document in split.train], [document.text for document in split.heldout]


def test_no_near_copies_on_both_sides(tmp_path: Path) -> None:
    """Sixteen texts, each with an excerpt and an edited copy."""
    texts = [prose(seed) for seed in range(16)]
    edited = [f"Once more. {text} The end." for text in texts]
    data = write(tmp_path / "t.jsonl", [*texts, *(text[50:400] for text in texts), *edited])
    for seed in range(4):
        train, heldout = sides(data, heldout=0.25, seed=seed)
        assert len(heldout) == 12, "a quarter of 48, in whole groups of three"
        assert not {text[60:390] for text in train if len(text) < 360} & {text[60:390] for text in heldout}
        for kept in (train, heldout):
            assert all(sum(text[100:200] in other for other in kept) == 3 for text in texts if text in kept)
    split = split_documents(Recipe(model="m", data=data, heldout=0.25))
    assert (split.together, split.duplicates, split.near_copies) == (48, 0, 0)


def test_the_same_text_in_another_form_is_a_duplicate(tmp_path: Path) -> None:
    texts = [prose(seed).replace("e", "é") + "\n\nThe end." for seed in range(8)]
    twins = [unicodedata.normalize("NFD", text.replace("\n", "\r\n")) for text in texts]
    alone, doubled = write(tmp_path / "a.jsonl", texts), write(tmp_path / "b.jsonl", texts + twins)
    assert sides(doubled, heldout=0.25) == sides(alone, heldout=0.25)
    assert split_documents(Recipe(model="m", data=doubled)).duplicates == 8


def test_near_copies_of_what_a_source_holds_out_are_not_trained_on(tmp_path: Path) -> None:
    texts = [prose(seed) for seed in range(6)]
    write(tmp_path / "train" / "t.jsonl", [*texts[:4], texts[4][100:400], texts[5].upper()])
    write(tmp_path / "heldout" / "t.jsonl", texts[4:])
    corpus = build_corpus(Recipe(model="m", data=str(tmp_path), length=8), tiny_bpe(begins=False))
    assert (corpus.documents, corpus.near_copies, len(corpus.train), len(corpus.validation)) == (6, 2, 4, 2)
    assert "6 documents (2 near-copies of held-out ones left out), 2 of them held out; fingerprint" in corpus.describe()


def test_where_nothing_is_held_out_near_copies_stay_in_training(tmp_path: Path) -> None:
    """Of a source that holds something out, and of one that does not; the same text still counts once."""
    texts = [prose(seed) for seed in range(6)]
    trained = [*texts[:4], texts[4][100:400], texts[5].upper()]
    alone = write(tmp_path / "train" / "t.jsonl", [*trained, texts[0]])
    write(tmp_path / "heldout" / "t.jsonl", texts[4:])
    for data in (str(tmp_path), alone):
        split = split_documents(Recipe(model="m", data=data, heldout=0))
        assert [document.text for document in split.train] == trained
        assert split.heldout == []
        assert (split.duplicates, split.near_copies, split.together) == (1, 0, 0)


def test_near_copies_are_said(tmp_path: Path) -> None:
    texts = [prose(seed) for seed in range(6)]
    data = write(tmp_path / "t.jsonl", [*texts, texts[0].upper()])
    corpus = build_corpus(Recipe(model="m", data=data, length=8), tiny_bpe(begins=False))
    assert "7 documents, 1 of them held out; 2 have near-copies, on the same side; fingerprint" in corpus.describe()


def test_where_all_are_near_copies_nothing_can_be_held_out(tmp_path: Path) -> None:
    data = write(tmp_path / "t.jsonl", [prose(0), prose(0).upper(), prose(0)[:-5]])
    with pytest.raises(UserError) as caught:
        sides(data)
    assert str(caught.value).startswith(f"--data {data}: 3 near-copies of one another cannot be split")
    assert len(sides(data, heldout=0)[0]) == 3
    one_more = write(tmp_path / "u.jsonl", [prose(0), prose(0).upper(), prose(1), prose(1).upper(), prose(1)[5:]])
    train, heldout = sides(one_more)
    assert (len(train), len(heldout)) == (3, 2), "the smaller group, though one text is asked for"


def test_near_copies_of_training_texts_are_no_contexts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [prose(seed) for seed in range(5)]
    data = write(tmp_path / "t.jsonl", texts)
    recipe = Recipe(model="m", data=data, heldout=0.2)
    train, heldout = sides(data, heldout=0.2)
    other = write(tmp_path / "o.jsonl", [f"Before it. {train[0]}", train[1][30:], f"Before it. {heldout[0]}", prose(9)])
    assert len(evaluation_texts(recipe, other, tiny_bpe(begins=False), 8, 4)) == 2
    assert f"--contexts {other}: 2 of 4 texts left out" in capsys.readouterr().err


@pytest.mark.parametrize("name", TEXTS)
def test_no_embedded_text_is_a_near_copy(name: str) -> None:
    texts = [document.text for part in read_documents(f"builtin:{name}") for document in part]
    assert near_copies(texts) == list(range(len(texts)))
