"""What of a chat is learned: by hand, the same with marks in the template and without, and what cannot be read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from hyperfit.data.chats import Passage, answer_header, passage_of, to_answer
from hyperfit.data.contexts import evaluation_texts
from hyperfit.data.corpus import build_corpus
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from hyperfit.data.split import split_documents
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
    assert (marked.ids, marked.learned) == (plain.ids, plain.learned)
    assert (marked.marked, plain.marked) == (True, False)
    assert learned_text(plain, chat_tokenizer()) == [f"{content}\n" for content in contents[1::2]]


@given(st.lists(SAID, min_size=2, max_size=6))
def test_marks_are_those_of_transformers(contents: list[str]) -> None:
    tokenizer = chat_tokenizer(MARKED)
    messages = [{"role": one.role, "content": one.content} for one in chat(*contents)]
    theirs = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    ours = passage_of(document(*contents), tokenizer)
    assert ours.ids == theirs["input_ids"]
    assert ours.learned == list(map(bool, theirs["assistant_masks"]))


@pytest.mark.parametrize("template", [MARKED, PLAIN], ids=["marked", "plain"])
def test_first_words_of_the_assistant_answer_nothing(template: str, tmp_path: Path) -> None:
    tokenizer = chat_tokenizer(template)
    greeting = (Message("assistant", "Hello!"), *chat("A?", "B"))
    for before in ((Message("system", "Greet"),), ()):
        opened = Document.of_chat((*before, *greeting), "here:1")
        assert learned_text(passage_of(opened, tokenizer), tokenizer) == ["B\n"]
        assert opened.learned == "B"
    rows = [[{"role": one.role, "content": one.content} for one in opened.messages]]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    corpus = build_corpus(recipe(path, heldout=0.0), tokenizer)
    assert corpus.notes[1] == "chats: in 1 the assistant speaks first, which answers nothing and is not learned"


def test_a_token_across_the_beginning_of_a_reply_is_learned() -> None:
    """The line end of the header and the space in front of the reply are one token; nothing before it is learned."""
    whole = "[u]A?\n[a]\n B"
    vocabulary = {piece: number for number, piece in enumerate([*sorted(set(whole)), "\n "])}
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE(vocabulary, [("\n", " ")])))
    tokenizer.chat_template = PLAIN.replace("'[a]'", "'[a]\n'").replace(
        "message['content'] + '\n'", "message['content']"
    )
    passage = passage_of(document("A?\n", " B"), tokenizer)
    assert [tokenizer.decode([one]) for one in passage.ids] == [*"[u]A?\n[a]", "\n ", "B"]
    assert passage.replies == [(9, 11)]


def test_the_date_in_a_template_stays() -> None:
    dated = chat_tokenizer("{{ strftime_now('%d %b %Y, %A %B %m') }} " + PLAIN)
    passage = passage_of(document("A?", "B"), dated)
    assert dated.decode(passage.ids) == "26 Jul 2024, Friday July 07 [u]A?\n[a]B\n"
    assert learned_text(passage, dated) == ["B\n"]
    asked = answer_header(to_answer(document("A?")), dated)
    assert dated.decode(asked) == "26 Jul 2024, Friday July 07 [u]A?\n[a]"


@pytest.mark.parametrize("template", [MARKED, PLAIN], ids=["marked", "plain"])
def test_replies_of_a_prompt_are_not_learned(template: str) -> None:
    tokenizer = chat_tokenizer(template)
    given = Document.of_chat(chat("A?", "B", "C?", "D"), "here:1", given=3)
    assert learned_text(passage_of(given, tokenizer), tokenizer) == ["D\n"]


THINKING = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}{{ '[a]' + message['content'].split('</think>')[-1] + '\n' }}"
    "{% else %}{{ '[u]' + message['content'] + '\n' }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}{{ '[a]<think>\n' }}{% endif %}"
)
"""Leaves thoughts out, and begins an answer with one."""


def test_replies_of_templates_that_think() -> None:
    """What is learned begins with the content where an answer begins otherwise; a thought that is left out is told."""
    tokenizer = chat_tokenizer(THINKING)
    for said in ("A map.", "<b>x</b>", "<think"):
        assert learned_text(passage_of(document("A?", said), tokenizer), tokenizer) == [f"{said}\n"]
    with pytest.raises(UserError, match=r"chats.jsonl:1: the model's chat template does not write message 2 as it"):
        passage_of(document("A?", "<think>\nhm\n</think>\nA map."), tokenizer)


def test_the_header_of_a_template_that_has_none_for_answers_is_not_learned() -> None:
    """Where one stands before replies all the same; a template without any is in order."""
    old = PLAIN.replace("{% if add_generation_prompt %}{{ '[a]' }}{% endif %}", "")
    tokenizer = chat_tokenizer(old)
    assert learned_text(passage_of(document("A?", "B", "C?", "D"), tokenizer), tokenizer) == ["B\n", "D\n"]
    bare = chat_tokenizer(old.replace("{{ '[a]' }}", "{{ ' ' }}"))
    assert learned_text(passage_of(document("A?", "B"), bare), bare) == [" B\n"]


def test_a_template_that_leaves_out_what_is_said_is_told() -> None:
    part = "{% for part in message['content'] %}{{ part['text'] }}{% endfor %}"
    tokenizer = chat_tokenizer(f"{{% for message in messages %}}{part}{{% endfor %}}")
    with pytest.raises(UserError, match="does not write message 2 as it is"):
        passage_of(document("A?", "B"), tokenizer)
    with pytest.raises(UserError, match="does not write the last message as it is, so that it would answer another"):
        answer_header(to_answer(document("A?")), tokenizer)


def test_a_template_that_forgets_is_refused() -> None:
    tokenizer = chat_tokenizer(FORGETS)
    assert learned_text(passage_of(document("A?", "B"), tokenizer), tokenizer) == ["B\n"]
    with pytest.raises(UserError) as caught:
        passage_of(document("A?", "B", "C?", "D"), tokenizer)
    assert str(caught.value).startswith("chats.jsonl:1: the model's chat template does not mark what the assistant")
    assert "message 2" in str(caught.value)


def test_a_template_that_shortens_earlier_replies_is_refused() -> None:
    """What is left of one is not what the assistant says."""
    shortens = chat_tokenizer(
        PLAIN.replace(
            "{{ '[a]' }}{{ message['content'] + '\n' }}",
            "{{ '[a]' }}{{ message['content'] if loop.last else message['content'][:3] }}",
            1,
        )
    )
    assert learned_text(passage_of(document("A?", "Because"), shortens), shortens) == ["Because"]
    with pytest.raises(UserError, match="before the end of message 2 in another way"):
        passage_of(document("A?", "Because", "C?", "D"), shortens)


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


def test_a_completion_of_nothing_and_one_that_ends_itself(tokenizer: PreTrainedTokenizerFast) -> None:
    end = tokenizer.eos_token_id
    alone = passage_of(Document("Nobody", "p:1", given=0), tokenizer)
    assert alone.ids == [*tokenizer.encode("Nobody"), end]
    assert alone.replies == [(1, len(alone.ids))]
    ended = passage_of(Document(f"Nobody would{tokenizer.eos_token}", "p:1", given=len("Nobody")), tokenizer)
    assert (ended.ids.count(end), ended.ids[-1]) == (1, end)
    assert passage_of(Document("Nobody ", "p:1", given=len("Nobody")), tokenizer).end == 0


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


def test_what_is_marked_in_some_chats_alone_is_told(tmp_path: Path) -> None:
    """This template marks long answers only."""
    some = PLAIN.replace(
        "{{ '[a]' }}{{ message['content'] + '\n' }}",
        "{{ '[a]' }}{% if message['content']|length > 3 %}{% generation %}{{ message['content'] + '\n' }}"
        "{% endgeneration %}{% else %}{{ message['content'] + '\n' }}{% endif %}",
        1,
    )
    path = write_chats(tmp_path / "c.jsonl", [["A?", "Yes, it is."], ["B?", "No"], ["C?", "Oh"]])
    corpus = build_corpus(recipe(path, heldout=0.0), chat_tokenizer(some))
    assert len(corpus.train) == 3
    by_template, by_prefix = corpus.notes
    assert by_template == "chats, 1 of them: the loss is on the assistant's tokens, as the chat template marks them"
    assert by_prefix.startswith("chats, 2 of them: the loss is on the assistant's tokens, which are those that each")


def test_texts_beside_chats_are_short_or_not(tmp_path: Path) -> None:
    rows = [{"messages": [{"role": "user", "content": f"{a}?"}, {"role": "assistant", "content": a}]} for a in "abcd"]
    folder = tmp_path / "mixed"
    folder.mkdir()
    (folder / "c.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "one.txt").write_text("short")
    (folder / "two.txt").write_text("as long as a sequence, and longer")
    corpus = build_corpus(recipe(folder, heldout=0.0), chat_tokenizer())
    assert (corpus.short, corpus.replyless, len(corpus.train)) == (1, 0, 5)


def test_what_many_chats_are_asked_makes_no_copies_of_them(tmp_path: Path) -> None:
    """A long instruction is in all of them; near-copies are those whose long replies are."""
    system = " ".join(f"Rule {n} is that rule {n + 1} comes after rule {n - 1}." for n in range(60))
    story = (
        "Once a boat came up the river with nobody in it but a goat and a large map of another river. "
        "They sold the map, and with the money the goat bought a bell."
    )
    replies = [*"abcdefgh", story, f"{story} Twice.", f"{story} Not once."]
    rows = [
        [
            {"role": role, "content": content}
            for role, content in (("system", system), ("user", f"{n}?"), ("assistant", one))
        ]
        for n, one in enumerate(replies)
    ]
    path = tmp_path / "c.jsonl"
    path.write_text("".join(json.dumps({"messages": row}) + "\n" for row in rows))
    for seed in range(6):
        split = split_documents(recipe(path, heldout=0.3, heldout_seed=seed))
        assert split.together == 3
        assert len(split.heldout) == 3
        assert len({document.learned.startswith(story) for document in split.heldout}) == 1 or not any(
            document.learned.startswith(story) for document in split.train
        )
    pairs = tmp_path / "p.jsonl"
    pairs.write_text("".join(json.dumps({"prompt": system + str(n), "completion": "yes"}) + "\n" for n in range(9)))
    assert split_documents(recipe(pairs)).together == 0


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
    several = chat_tokenizer({"tool_use": PLAIN, "rag": PLAIN})
    with pytest.raises(UserError, match=r"its tokenizer has several, and none is called default; give a chat model"):
        build_corpus(recipe(path), several)
    strange = tmp_path / "s.jsonl"
    strange.write_text(path.read_text().replace("assistant", "Sister"))
    with pytest.raises(
        UserError, match=r"no chat has a message of the role assistant.* theirs are sister, user; rename"
    ):
        build_corpus(recipe(strange), chat_tokenizer())
    with pytest.raises(UserError, match=r"--chunking packed: joins texts"):
        build_corpus(recipe(path, chunking="packed"), chat_tokenizer())
    with pytest.raises(UserError, match=r"8 chats or prompts have no reply in so many.* give a larger --length"):
        build_corpus(recipe(path, length=5), chat_tokenizer())
    many = write_chats(tmp_path / "m.jsonl", [["A?", f"{n}", "C?", f"{n}D"] for n in range(12)])
    with pytest.raises(UserError) as caught:
        build_corpus(recipe(many), chat_tokenizer(FORGETS))
    assert len(caught.value.problems) == 5
    assert all(one.startswith(f"--data {many}:") for one in caught.value.problems)
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
    with pytest.raises(UserError, match=r"--total 60: .* shorter \(replies, where they are chats or prompts\)"):
        evaluation_texts(asked, str(other), tokenizer, 60, 8)
    assert evaluation_texts(asked, str(other), tokenizer, 20, 8, limit=len(cut.ids)) == [cut]
    with pytest.raises(UserError) as caught:
        evaluation_texts(asked, str(other), tokenizer, 20, 8, limit=len(cut.ids) - 1)
    assert str(caught.value) == (
        f"--total 20: {other} has 3 documents that are not trained on, 1 of them shorter (replies, where they are "
        f"chats or prompts), 1 of them of more than the model's {len(cut.ids) - 1} positions with what stands before "
        "the reply, 1 of them beginning like what is trained on; give a smaller --total or other texts with --contexts"
    )
    forgets = chat_tokenizer(FORGETS)
    other.write_text(other.read_text() * 2)
    with pytest.raises(UserError, match=rf"^--contexts {other}:1: the model's chat template does not mark"):
        evaluation_texts(asked, str(other), forgets, 20, 8)


def test_what_is_answered() -> None:
    assert to_answer(Document("Rain?", "--prompt")).messages == (Message("user", "Rain?"),)
    whole = to_answer(document("Rain?", "No", "Why?", "Because"))
    assert whole.messages == chat("Rain?", "No", "Why?")
    assert whole.text == "user: Rain?\nassistant: No\nuser: Why?"
    with pytest.raises(UserError, match="here:3: the assistant speaks first"):
        to_answer(Document.of_chat((Message("assistant", "Hello"),), "here:3"))
