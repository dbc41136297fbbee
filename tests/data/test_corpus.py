"""From documents to sequences: nothing leaks, nothing is lost, the same seed gives the same choice."""

import dataclasses
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from hyperfit.data import corpus as corpus_module
from hyperfit.data.contexts import evaluation_texts
from hyperfit.data.corpus import Corpus, build_corpus, packed, spanned, starts
from hyperfit.data.reading.documents import Document
from hyperfit.data.split import split_documents
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import MOST_SAMPLES, Recipe
from tiny_tokenizers import END, tiny_bpe

LENGTH = 8
WORDS = ["harbour", "boat", "bicycle", "cheese", "bridge", "rain", "clock", "brother", "market", "dusk"]


def story(number: int, words: int = 12) -> str:
    """A text that differs from that of any other number below 100 in its first two words."""
    first = [WORDS[number % 10], WORDS[number // 10]]
    return " ".join([*first, *(WORDS[i * (number + 3) % 10] for i in range(words))][:words])


def write(path: Path, texts: Sequence[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
    return path


@pytest.fixture
def recipe_of(tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe on the given texts; with ``apart``, on a folder that sets those apart as held out."""

    def make(texts: Sequence[str], apart: Sequence[str] | None = None, **changes: Any) -> Recipe:
        if apart is None:
            source = write(tmp_path / "texts.jsonl", texts)
        else:
            source = tmp_path / "split"
            write(source / "train" / "texts.jsonl", texts)
            write(source / "heldout" / "texts.jsonl", apart)
        return Recipe(**{"model": "none", "data": str(source), "length": LENGTH, **changes})

    return make


Make = Callable[..., Recipe]


def rows(tensor: torch.Tensor) -> list[tuple[int, ...]]:
    return [tuple(row) for row in tensor.tolist()]


def documents(texts: Sequence[str]) -> list[Document]:
    return [Document(text, f"here:{number}") for number, text in enumerate(texts)]


# The split

TEXT = st.text("ab \n", max_size=3)
"""From so few letters that the same texts come again and again, some with white space around them."""


def words_of(texts: Sequence[str]) -> set[str]:
    """The different texts, blank ones not counted: white space is white space."""
    return {" ".join(text.split()) for text in texts} - {""}


def letters(texts: Sequence[str]) -> set[str]:
    """What such short texts have to share to be near-copies: all of their letters."""
    return {"".join(text.split()) for text in texts} - {""}


@given(
    texts=st.lists(TEXT, min_size=1, max_size=20),
    apart=st.none() | st.lists(TEXT, min_size=1, max_size=8),
    heldout=st.floats(0.01, 0.9),
    seed=st.integers(0, 1000),
)
def test_no_text_is_both_trained_on_and_held_out(
    texts: list[str], apart: list[str] | None, heldout: float, seed: int
) -> None:
    read = [text for text in [*texts, *(apart or [])] if text.strip()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "train" / "texts.jsonl", texts)
        if apart is not None:
            write(folder / "heldout" / "texts.jsonl", apart)
        splittable = all(map(letters, (texts, apart))) if apart is not None else len(letters(texts)) > 1
        with nullcontext() if splittable else pytest.raises(UserError):
            split = split_documents(Recipe(model="m", data=name, heldout=heldout, seed=seed))
        if not splittable:
            return
    trained, kept_out = (
        [" ".join(document.text.split()) for document in part] for part in (split.train, split.heldout)
    )
    assert not letters(trained) & letters(kept_out)
    assert len(set(trained + kept_out)) == len(trained + kept_out), "each text once"
    assert len(read) == len(trained) + len(kept_out) + split.duplicates + split.near_copies, "none lost"
    assert kept_out
    if apart is None:
        assert set(trained + kept_out) == words_of(texts)
    else:
        assert set(kept_out) == words_of(apart)
        assert letters(trained) == letters(texts) - letters(apart)


def test_share_held_out(recipe_of: Make) -> None:
    for count, share, expected in ((20, 0.1, 2), (20, 0.9, 18), (2, 0.1, 1), (3, 0.5, 2), (10, 0.01, 1), (3, 0.9, 2)):
        split = split_documents(recipe_of([story(i) for i in range(count)], heldout=share))
        assert (len(split.train), len(split.heldout)) == (count - expected, expected)


def test_split_keeps_the_order_and_follows_the_seed(recipe_of: Make) -> None:
    texts = [story(i) for i in range(40)]
    splits = []
    for seed in (0, 0, 1, 2):
        split = split_documents(recipe_of(texts, heldout=0.25, seed=seed))
        for part in (split.train, split.heldout):
            places = [texts.index(document.text) for document in part]
            assert places == sorted(places)
        splits.append({document.text for document in split.heldout})
    assert splits[0] == splits[1]
    assert splits[0] != splits[2] != splits[3]


def test_nothing_is_held_out_where_the_recipe_says_so(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [story(i) for i in range(6)]
    corpus = build_corpus(recipe_of(texts, heldout=0), bare_tokenizer)
    assert (len(corpus.train), corpus.heldout_documents) == (6, 0)
    assert corpus.validation.shape == (0, LENGTH)
    corpus = build_corpus(recipe_of(texts[:4], apart=texts[3:], heldout=0), bare_tokenizer)
    assert (len(corpus.train), corpus.heldout_documents, corpus.duplicates) == (3, 0, 1), "also of a split source"
    assert corpus.validation.shape == (0, LENGTH)


@pytest.mark.parametrize("texts", [["goat"], ["goat", "goat ", "goat"]])
def test_one_text_cannot_be_split(recipe_of: Make, texts: list[str]) -> None:
    recipe = recipe_of(texts)
    with pytest.raises(UserError) as caught:
        split_documents(recipe)
    assert str(caught.value).startswith(f"--data {recipe.data}: 1 document(s) cannot be split")
    assert "--heldout 0" in str(caught.value)
    assert str(caught.value).endswith("and --chunking packed to train on all of one long text")
    with pytest.raises(UserError) as caught:
        split_documents(dataclasses.replace(recipe, chunking="packed"))
    assert str(caught.value).endswith("or --heldout 0 to go without validation"), "nothing that is given already"
    assert len(split_documents(dataclasses.replace(recipe, heldout=0)).train) == 1


# Sequences


def test_long_texts_of_which_the_beginnings_are_taken_are_told(
    recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast
) -> None:
    sizes = [len(bare_tokenizer.encode(text)) for text in (story(1, 300), story(2, 90))]
    recipe = recipe_of([story(1, 300), story(2, 90)], heldout=0, samples=2)
    (told,) = build_corpus(recipe, bare_tokenizer).notes
    assert told == (
        f"of {sum(sizes):,} tokens in 2 documents only the first {LENGTH} of each are trained on; "
        "--chunking packed takes all"
    )
    most = sum(sizes) // 2 // 20
    assert build_corpus(dataclasses.replace(recipe, length=most), bare_tokenizer).notes, "twenty times as long"
    for quiet in ({"chunking": "packed"}, {"length": most + 1}):
        assert not build_corpus(dataclasses.replace(recipe, **quiet), bare_tokenizer).notes
    (told,) = build_corpus(recipe_of([story(1, 300)], heldout=0), bare_tokenizer).notes
    assert told.startswith(f"of {sizes[0]:,} tokens in 1 document only")


def test_start_gives_the_first_tokens_of_documents(recipe_of: Make, tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [story(i) for i in range(10)]
    corpus = build_corpus(recipe_of(texts, heldout=0.3), tokenizer)
    expected = {tuple(tokenizer.encode(text)[:LENGTH]) for text in texts}
    assert len(expected) == 10
    assert corpus.train.dtype == corpus.validation.dtype == torch.int64
    assert corpus.train.shape == (7, LENGTH)
    assert corpus.validation.shape == (3, LENGTH)
    assert set(rows(corpus.train)) | set(rows(corpus.validation)) == expected


def test_documents_that_begin_alike_do_not_leak(recipe_of: Make, tokenizer: PreTrainedTokenizerFast) -> None:
    """Other texts, the same first tokens: no training sequence stands among those held out."""
    beginning = story(3, words=40)
    corpus = build_corpus(
        recipe_of([beginning + " One end.", story(5)], apart=[beginning + " Another end.", story(6)]), tokenizer
    )
    assert len(corpus.train) == 2
    assert rows(corpus.validation) == [tuple(tokenizer.encode(story(6))[:LENGTH])]


def test_start_leaves_out_what_is_shorter_by_a_token(tokenizer: PreTrainedTokenizerFast) -> None:
    text = story(7)
    size = len(tokenizer.encode(text))
    for length, kept in ((size - 1, 1), (size, 1), (size + 1, 0)):
        found, short = starts(documents([text]), tokenizer, length)
        assert found.shape == (kept, length)
        assert short == 1 - kept


def test_start_takes_first_tokens_from_a_tokenizer_that_would_cut_the_front() -> None:
    tokenizer = tiny_bpe(begins=True)
    tokenizer.truncation_side = "left"
    found, _ = starts(documents([story(7)]), tokenizer, LENGTH)
    assert rows(found) == [tuple(tokenizer.encode(story(7))[:LENGTH])]


def test_white_space_around_a_text_does_not_count(tokenizer: PreTrainedTokenizerFast) -> None:
    padded, _ = starts(documents([f"\n {story(7)} \n"]), tokenizer, LENGTH)
    plain, _ = starts(documents([story(7)]), tokenizer, LENGTH)
    assert torch.equal(padded, plain)


def one_by_one(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast, length: int) -> list[tuple[int, ...]]:
    """The plain way to pack: token by token, a row given out when it is full."""
    full, row = [], []
    for text in texts:
        for token in [*tokenizer.encode(text), tokenizer.eos_token_id]:
            row.append(token)
            if len(row) == length:
                full.append(tuple(row))
                row = []
    return full


@pytest.mark.parametrize("length", [2, 3, LENGTH, 50, 10_000])
def test_packed_loses_nothing_but_the_tail(tokenizer: PreTrainedTokenizerFast, length: int) -> None:
    texts = [story(i, words=1 + 5 * i) for i in range(9)]
    found = packed(documents(texts), tokenizer, length)
    assert found.dtype == torch.int64
    assert found.shape[1] == length
    assert rows(found) == one_by_one(texts, tokenizer, length)


def test_packed_puts_one_end_between_documents_where_the_tokenizer_begins_with_it() -> None:
    tokenizer = tiny_bpe(begins=True)
    tokenizer.eos_token = tokenizer.bos_token
    begin, one, two = tokenizer.bos_token_id, *(tokenizer.encode(text) for text in ("goat", "map"))
    assert one[0] == two[0] == begin
    found = packed(documents(["goat", "map"]), tokenizer, len(one) + len(two))
    assert rows(found) == [(*one, *two)]


def test_packed_without_an_end_token() -> None:
    tokenizer = tiny_bpe(begins=False)
    tokenizer.eos_token = None
    one, two = (tokenizer.encode(text) for text in ("goat", "map"))
    assert rows(packed(documents(["goat", "map"]), tokenizer, len(one) + len(two))) == [(*one, *two)]


def test_packed_corpus_does_not_mix_the_parts(recipe_of: Make, tokenizer: PreTrainedTokenizerFast) -> None:
    recipe = recipe_of([story(i) for i in range(10)], heldout=0.3, chunking="packed")
    split = split_documents(recipe)
    corpus = build_corpus(recipe, tokenizer)
    for part, found in ((split.train, corpus.train), (split.heldout, corpus.validation)):
        expected = one_by_one([document.text for document in part], tokenizer, LENGTH)
        assert Counter(rows(found)) == Counter(expected)
    assert corpus.short == 0
    assert tokenizer.convert_tokens_to_ids(END) in corpus.train


def test_words_for_special_tokens_do_not_stop_the_reading(tokenizer: PreTrainedTokenizerFast) -> None:
    found, short = starts(documents([f"{END} {story(7)}"]), tokenizer, LENGTH)
    assert (len(found), short) == (1, 0)


# What is chosen


def test_counts(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    good, short = [story(i) for i in range(12)], ["a", "b", "c"]
    recipe = recipe_of([*good, good[0], short[0], " a"], apart=[*good[10:], *short[1:]], samples=5)
    corpus = build_corpus(recipe, bare_tokenizer)
    assert (corpus.documents, corpus.duplicates, corpus.short) == (15, 4, 3)
    assert (corpus.heldout_documents, corpus.available) == (4, 10)
    assert (len(corpus.train), len(corpus.validation)) == (5, 2)
    assert corpus.describe() == (
        "5 of 10 training sequences of 8 tokens, 2 held out for validation; 15 documents (4 duplicates, 3 too short "
        f"left out), 4 of them held out; fingerprint {corpus.fingerprint}"
    )


def test_choice_follows_the_seed(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    texts, apart = [story(i) for i in range(40)], [story(i) for i in range(40, 60)]
    settings = {"apart": apart, "samples": 10, "validation_samples": 5}
    first, again, other = (build_corpus(recipe_of(texts, **settings, seed=seed), bare_tokenizer) for seed in (3, 3, 4))
    every = {tuple(bare_tokenizer.encode(text)[:LENGTH]) for text in texts}
    for corpus in (first, other):
        assert len(set(rows(corpus.train))) == 10, "no row twice"
        assert set(rows(corpus.train)) <= every
        assert corpus.validation.shape == (5, LENGTH)
    assert torch.equal(first.train, again.train)
    assert torch.equal(first.validation, again.validation)
    assert set(rows(first.train)) != set(rows(other.train))
    assert set(rows(first.validation)) != set(rows(other.validation))


def test_all_there_is_up_to_the_papers_number(
    recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_SAMPLES == 2000
    monkeypatch.setattr(corpus_module, "MOST_SAMPLES", 7)
    for count, taken in ((6, 6), (7, 7), (8, 7)):
        recipe = recipe_of([story(i) for i in range(count)], heldout=0)
        assert len(build_corpus(recipe, bare_tokenizer).train) == taken
    recipe = recipe_of([story(i) for i in range(9)], heldout=0, samples=9)
    assert len(build_corpus(recipe, bare_tokenizer).train) == 9, "asked for, more are given"


def failure(recipe: Recipe, tokenizer: PreTrainedTokenizerFast) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        build_corpus(recipe, tokenizer)
    return caught.value.problems


def test_too_few_sequences_for_the_samples_asked(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    recipe = recipe_of([*(story(i) for i in range(6)), "a", "b"], apart=[story(9)], samples=20)
    assert failure(recipe, bare_tokenizer) == (
        f"--data {recipe.data}: gives 6 training sequences of 8 tokens (2 of 9 documents are shorter), but 20 are "
        "needed; give --samples 6, --chunking packed, a smaller --length or more text",
    )
    text = failure(dataclasses.replace(recipe, chunking="packed", samples=900), bare_tokenizer)[0]
    count = len(build_corpus(dataclasses.replace(recipe, chunking="packed", samples=None), bare_tokenizer).train)
    assert (
        f"gives {count} training sequences of 8 tokens, but 900 are needed; give --samples {count}, a smaller" in text
    )
    assert len(build_corpus(dataclasses.replace(recipe, samples=6), bare_tokenizer).train) == 6


def test_no_sequence_at_all_in_either_part(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    recipe = recipe_of(["a", "b", "c"], apart=["d"])
    train, held = failure(recipe, bare_tokenizer)
    assert "gives 0 training sequences of 8 tokens (4 of 4 documents are shorter), but 1 are needed" in train
    assert "--samples" not in train
    assert held.startswith(f"--data {recipe.data}: none of the 1 held-out documents gives a sequence of 8 tokens")
    assert "--heldout 0" in held


# The fingerprint


def test_fingerprint_is_that_of_the_tokens(recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    texts = [story(i) for i in range(20)]

    def fingerprint(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast = bare_tokenizer, **changes: Any) -> str:
        return build_corpus(recipe_of(texts, **changes), tokenizer).fingerprint

    first = fingerprint(texts)
    assert len(first) == 16
    assert int(first, 16) >= 0
    assert fingerprint(texts) == first
    assert fingerprint([f" {text}\n" for text in texts]) == first, "the same tokens"
    assert fingerprint(texts, lr=1.0, epochs=3) == first, "the same data"
    others = {
        "a text changed": fingerprint([*texts[:-1], story(77)]),
        "a text more": fingerprint([*texts, story(77)]),
        "seed": fingerprint(texts, seed=1),
        "samples": fingerprint(texts, samples=5),
        "length": fingerprint(texts, length=LENGTH + 1),
        "chunking": fingerprint(texts, chunking="packed"),
        "held out": fingerprint(texts, heldout=0.2),
        "tokenizer": fingerprint(texts, tiny_bpe(begins=True)),
    }
    assert len({first, *others.values()}) == 1 + len(others)


def test_fingerprint_knows_training_from_validation() -> None:
    def fingerprint(train: list[list[int]], validation: list[list[int]]) -> str:
        parts = {"train": torch.tensor(train), "validation": torch.tensor(validation)}
        counts = dict.fromkeys(
            ("documents", "duplicates", "near_copies", "together", "short", "heldout_documents", "available"), 0
        )
        return Corpus(**parts, **counts).fingerprint

    assert fingerprint([[1, 2], [3, 4]], [[5, 6]]) != fingerprint([[1, 2]], [[3, 4], [5, 6]])
    assert fingerprint([[1, 2], [3, 4]], [[5, 6]]) != fingerprint([[3, 4], [1, 2]], [[5, 6]])


# Texts to evaluate on


def firsts(texts: Sequence[str], tokenizer: PreTrainedTokenizerFast) -> set[tuple[int, ...]]:
    return {tuple(tokenizer.encode(text)[:LENGTH]) for text in texts}


def test_evaluation_texts_of_the_runs_own_data_are_held_out(
    recipe_of: Make, tokenizer: PreTrainedTokenizerFast
) -> None:
    recipe = recipe_of([story(i) for i in range(20)], heldout=0.25)
    held = split_documents(recipe).heldout
    found = evaluation_texts(recipe, recipe.data, tokenizer, LENGTH, 3)
    assert {one.ids for one in found} == firsts([document.text for document in held], tokenizer)
    assert [one.context for one in found] == [3] * 5


def test_evaluation_texts_of_another_source_are_not_trained_on(
    recipe_of: Make, tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    recipe = recipe_of([story(i) for i in range(10)], apart=[story(10)])
    others = [story(i) for i in (3, 4, 20, 21, 20)]
    mixed = write(tmp_path / "others.jsonl", others)
    assert {one.ids for one in evaluation_texts(recipe, str(mixed), tokenizer, LENGTH, 3)} == firsts(
        others[2:], tokenizer
    )
    write(tmp_path / "parted" / "train" / "t.jsonl", [story(30)])
    write(tmp_path / "parted" / "heldout" / "t.jsonl", [story(5), story(31)])
    found = evaluation_texts(recipe, str(tmp_path / "parted"), tokenizer, LENGTH, 3)
    assert {one.ids for one in found} == firsts([story(31)], tokenizer)


def test_evaluation_texts_too_short_or_trained_on(
    recipe_of: Make, bare_tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    recipe = recipe_of([story(0), story(1)], apart=[story(2)])
    other = write(tmp_path / "others.jsonl", [story(0), "a", "b"])
    with pytest.raises(UserError) as caught:
        evaluation_texts(recipe, str(other), bare_tokenizer, LENGTH, 3)
    assert str(caught.value).startswith(
        f"--total 8: {other} has 2 documents that are not trained on, 2 of them shorter"
    )
    assert "--contexts" in str(caught.value)


# Where a sequence comes from


@pytest.mark.parametrize(
    ("origin", "source", "name"),
    [
        ("/data/a/night.txt", "/data", "a/night.txt"),
        ("/data/night.txt", "/data/night.txt", "night.txt"),
        ("/data/a/many.jsonl:12", "/data", "a/many.jsonl, line 12"),
        ("some/many.csv:3", "some/many.csv", "many.csv, row 3"),
        ("some/many.parquet:3", "some", "many.parquet, row 3"),
        ("org/stories:en:train:3", "org/stories:en:train", "org/stories:en:train, row 3"),
    ],
)
def test_documents_are_called_by_file_and_row(origin: str, source: str, name: str) -> None:
    assert Document("x", origin).name_in(Path(source)) == name


def test_packed_sequences_are_called_by_the_documents_they_are_cut_from() -> None:
    assert spanned(["a", "b", "c", "d"], [5, 2, 1, 9], 4, 4) == ["a", "a to c", "d", "d"]


@pytest.mark.parametrize("chunking", ["start", "packed"])
def test_a_corpus_knows_where_its_sequences_come_from(
    recipe_of: Make, tokenizer: PreTrainedTokenizerFast, chunking: str
) -> None:
    recipe = recipe_of([story(i) for i in range(20)], heldout=0.25, chunking=chunking)
    corpus = build_corpus(recipe, tokenizer)
    texts = {document.name_in(Path(recipe.data)): document.text for document in split_documents(recipe).train}
    for row, name in zip(rows(corpus.train), corpus.names, strict=True):
        first = name.split(" to ")[0]
        tokens = tokenizer.encode(texts[first])
        if chunking == "start":
            assert tuple(tokens[: len(row)]) == row
        else:
            assert row[0] in {*tokens, tokenizer.eos_token_id}


# What is learned


def test_learned_texts_by_hand() -> None:
    """Two replies of one chat are two texts, and nothing that is read between them is in either."""
    rows = torch.arange(20).view(2, 10)
    learned = torch.zeros(2, 10, dtype=torch.bool)
    learned[0, 2:4] = learned[0, 7:9] = learned[1, 9:] = True
    counts = dict.fromkeys(
        ("documents", "duplicates", "near_copies", "together", "short", "heldout_documents", "available"), 0
    )
    chats = Corpus(train=rows, validation=rows, learned=learned, names=("a, line 1", "a, line 2"), **counts)
    assert chats.learned_texts == [[2, 3], [7, 8], [19]]
    assert chats.labels.tolist() == [[-100, -100, 2, 3, -100, -100, -100, 7, 8, -100], [-100] * 9 + [19]]
    assert chats.learned_names == ["a, line 1", "a, line 1", "a, line 2"]
    texts = dataclasses.replace(chats, learned=None)
    assert texts.labels.tolist() == rows.tolist()
    assert texts.learned_texts == texts.sequences == rows.tolist()
    assert texts.learned_names == ["a, line 1", "a, line 2"]
