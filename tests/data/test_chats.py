"""What of a chat is learned: by hand, the same with marks in the template and without, and what cannot be read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from hyperfit.data.chats import Passage, passage_of, to_answer
from hyperfit.data.contexts import evaluation_texts
from hyperfit.data.corpus import build_corpus
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Recipe
from tiny_chats import FORGETS, MARKED, PLAIN, chat, chat_tokenizer, document, write_chats
from tiny_models import END

SAID = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), max_size=12)


def learned_text(passage: Passage, tokenizer: Any) -> list[str]:
    """What of it is learned, run by run."""
    return [tokenizer.decode(passage.ids[start:end]) for start, end in passage.replies]


@pytest.mark.parametrize("template", [MARKED, PLAIN], ids=["marked", "plain"])
def test_by_hand(template: str) -> None:
    tokenizer = chat_tokenizer(template)
    passage = passage_of(document("A goat?", "A map.", "Rain?", "No", system="Be brief"), tokenizer)
    assert tokenizer.decode(passage.ids) == "[s]Be brief\n[u]A goat?\n[a]A map.\n[u]Rain?\n[a]No\n"
    assert learned_text(passage, tokenizer) == ["A map.\n", "No\n"]
    assert passage.replies == [(26, 33), (45, 48)]
    assert passage.end == len(passage.ids) == 48
    assert passage.first(30).replies == [(26, 30)]


@given(st.lists(SAID, min_size=2, max_size=6), st.none() | SAID)
def test_marked_and_found_replies_are_the_same(contents: list[str], system: str | None) -> None:
    marked, plain = (
        passage_of(document(*contents, system=system), chat_tokenizer(template)) for template in (MARKED, PLAIN)
    )
    assert marked == plain
    assert learned_text(plain, chat_tokenizer()) == [f"{content}\n" for content in contents[1::2]]


@pytest.mark.parametrize("template", [MARKED, PLAIN], ids=["marked", "plain"])
def test_replies_of_a_prompt_are_not_learned(template: str) -> None:
    tokenizer = chat_tokenizer(template)
    given = Document.of_chat(chat("A?", "B", "C?", "D"), "here:1", given=3)
    assert learned_text(passage_of(given, tokenizer), tokenizer) == ["D\n"]


def test_a_template_that_forgets_is_refused() -> None:
    tokenizer = chat_tokenizer(FORGETS)
    assert learned_text(passage_of(document("A?", "B"), tokenizer), tokenizer) == ["B\n"]
    with pytest.raises(UserError) as caught:
        passage_of(document("A?", "B", "C?", "D"), tokenizer)
    assert str(caught.value).startswith("chats.jsonl:1: the model's chat template does not mark what the assistant")
    assert "message 2" in str(caught.value)


def test_what_a_template_raises_is_told() -> None:
    refusing = chat_tokenizer("{{ raise_exception('Roles must alternate') }}")
    with pytest.raises(UserError, match=r"chats.jsonl:1: the model's chat template does not take .*Roles must alter"):
        passage_of(document("A?", "B"), refusing)


def test_a_completion_is_learned_and_ends(tokenizer: PreTrainedTokenizerFast) -> None:
    """Whatever stands in front, and with a token that would go across the border the completion's."""
    passage = passage_of(Document("Nobody would sell her", "p:1", given=len("Nobody wou")), tokenizer)
    whole = tokenizer.encode("Nobody would sell her")
    assert passage.ids == [*whole, tokenizer.eos_token_id]
    ((start, end),) = passage.replies
    assert end == len(passage.ids)
    assert "Nobody wou".startswith(tokenizer.decode(passage.ids[:start], skip_special_tokens=True))
    longer = tokenizer.decode(passage.ids[: start + 1], skip_special_tokens=True)
    assert len(longer) > len("Nobody wou")


def test_of_a_text_all_but_the_first_token_is_learned(tokenizer: PreTrainedTokenizerFast) -> None:
    passage = passage_of(Document(" Two brothers\n", "t:1"), tokenizer)
    assert passage.ids == tokenizer.encode("Two brothers")
    assert passage.learned == [False, *[True] * (len(passage.ids) - 1)]


# Sequences


def recipe(path: Path, **changes: Any) -> Recipe:
    given = {"model": "none", "data": str(path), "length": 24, "heldout": 0.25, **changes}
    return Recipe(**given)


CHATS = [[f"{word}?", f"{word}, {word}!"] for word in "ape bee cat dog elk fox gnu hen".split()]


def test_sequences_of_chats(tmp_path: Path) -> None:
    path = write_chats(tmp_path / "c.jsonl", [*CHATS, ["Is this a very long question?", "Yes."]])
    corpus = build_corpus(recipe(path, heldout_seed=1), chat_tokenizer())
    assert corpus.replyless == 1, "its reply begins behind the length"
    assert len(corpus.train) + len(corpus.validation) == 8
    assert corpus.train.shape[1] == corpus.validation.shape[1] == 24
    told = chat_tokenizer()
    for rows, learned, sequences in (
        (corpus.train, corpus.learned, corpus.sequences),
        (corpus.validation, corpus.validation_learned, corpus.validation_sequences),
    ):
        assert learned is not None
        for row, where, bare in zip(rows, learned, sequences, strict=True):
            animal = told.decode(bare)[3:6]
            assert told.decode(bare) == f"[u]{animal}?\n[a]{animal}, {animal}!\n"
            assert told.decode(row[where]) == f"{animal}, {animal}!\n"
            assert set(row[len(bare) :].tolist()) <= {END}
    assert corpus.learned is not None
    assert corpus.predicted([0, 2]) == 2 * len("ape, ape!\n")
    assert "1 without a reply in their first tokens left out" in corpus.describe()
    assert f"learned: {10 * len(corpus.train)} tokens of replies" in corpus.describe()
    (note,) = corpus.notes
    assert note.startswith("chats: the loss is on the assistant's tokens, which are those that each reply adds")
    marked = build_corpus(recipe(path, heldout_seed=1), chat_tokenizer(MARKED))
    assert marked.notes == ("chats: the loss is on the assistant's tokens, as the chat template marks them",)
    assert marked.fingerprint == corpus.fingerprint


def test_what_is_learned_is_in_the_fingerprint(tmp_path: Path) -> None:
    """The same tokens, of which more are learned, are other data."""
    pairs = [{"prompt": f"{n} is ", "completion": "a number of boats"} for n in range(8)]
    found = []
    for cut in (0, 3):
        rows = [
            {"prompt": row["prompt"] + row["completion"][:cut], "completion": row["completion"][cut:]} for row in pairs
        ]
        path = tmp_path / "p.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found.append(build_corpus(recipe(path, length=30), chat_tokenizer()))
    one, other = found
    assert torch.equal(one.train, other.train)
    assert one.fingerprint != other.fingerprint
    assert one.notes == ("prompts and completions: the loss is on the completions, and on the end of text behind them",)


def test_what_cannot_be_trained_on_is_said(tmp_path: Path, bare_tokenizer: PreTrainedTokenizerFast) -> None:
    path = write_chats(tmp_path / "c.jsonl", CHATS)
    with pytest.raises(UserError, match=r"--data .*c.jsonl: chats are written with the model's chat template, and its"):
        build_corpus(recipe(path), bare_tokenizer)
    with pytest.raises(UserError, match=r"--chunking packed: joins texts"):
        build_corpus(recipe(path, chunking="packed"), chat_tokenizer())
    with pytest.raises(UserError, match=r"8 chats or prompts have no reply in so many.* give a larger --length"):
        build_corpus(recipe(path, length=5), chat_tokenizer())
    many = write_chats(tmp_path / "m.jsonl", [["A?", f"{n}", "C?", f"{n}D"] for n in range(12)])
    with pytest.raises(UserError) as caught:
        build_corpus(recipe(many), chat_tokenizer(FORGETS))
    assert len(caught.value.problems) == 5
    assert caught.value.problems[-1].endswith("more like it")


def test_chats_to_continue(tmp_path: Path) -> None:
    """The first reply that is long enough, behind all before it; none of which is trained on."""
    path = write_chats(tmp_path / "c.jsonl", CHATS)
    tokenizer = chat_tokenizer()
    asked = recipe(path, heldout=0)
    other = write_chats(
        tmp_path / "o.jsonl",
        [
            ["yak?", "no", "owl?", "an owl, and another owl"],
            [CHATS[0][0], "another answer to what is trained on"],
            ["eel?", "short"],
        ],
    )
    (cut,) = evaluation_texts(asked, str(other), tokenizer, 20, 8)
    assert tokenizer.decode(cut.ids[: cut.context]) == "[u]yak?\n[a]no\n[u]owl?\n[a]"
    assert tokenizer.decode(cut.ids[cut.context :]) == "an owl, and "
    with pytest.raises(UserError, match=r"--total 60: .* shorter \(replies, where they are chats\)"):
        evaluation_texts(asked, str(other), tokenizer, 60, 8)
    assert evaluation_texts(asked, str(other), tokenizer, 20, 8, limit=len(cut.ids)) == [cut]
    with pytest.raises(UserError, match="2 of them shorter"):
        evaluation_texts(asked, str(other), tokenizer, 20, 8, limit=len(cut.ids) - 1)


def test_what_is_answered() -> None:
    assert to_answer(Document("Rain?", "--prompt")).messages == (Message("user", "Rain?"),)
    whole = to_answer(document("Rain?", "No", "Why?", "Because"))
    assert whole.messages == chat("Rain?", "No", "Why?")
    assert whole.text == "user: Rain?\nassistant: No\nuser: Why?"
    with pytest.raises(UserError, match="here:3: the assistant speaks first"):
        to_answer(Document.of_chat((Message("assistant", "Hello"),), "here:3"))
