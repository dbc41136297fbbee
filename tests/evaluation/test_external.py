"""Texts from elsewhere: whole runs of the command line, and what is wrong with a file, line by line."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperfit.cli import main
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from hyperfit.evaluation.external import learned_parts
from hyperfit.metrics.by_model.coherence import coherence
from hyperfit.metrics.by_model.mauve import mauve
from hyperfit.metrics.copying.training_index import TrainingIndex
from hyperfit.metrics.score import copies, score
from hyperfit.metrics.text.words import Lexicon
from hyperfit.models.loading import load_tokenizer
from tiny_models import save_tiny


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err.splitlines()


def test_scores_by_hand() -> None:
    scores = score({"a": [[1, 2, 1, 2], [3, 4, 5, 6]]}, [[0, 1, 2, 9], [4, 5, 6]], {"a": ["x y x y", "u v w z"]})["a"]
    assert scores.per_text["longest_overlap"] == [2, 3]
    assert scores.per_text["bigram_repetition"] == pytest.approx([1 / 3, 0])
    assert all(map(math.isnan, scores.per_text["ttr"]))
    assert scores.per_text["novel_4grams"] == [1, 1]
    assert scores.pooled["distinct_1"].value == 6 / 8
    summary = scores.summary()
    assert (summary["most_overlap"], summary["long_overlap_share"]["value"]) == (3, 0)
    assert summary["ttr"] == {"value": None, "low": None, "high": None, "n": 0}
    assert summary["ttr_by_position"] == []
    assert not {"longest_overlap", "dataset_bleu"} & set(score({"a": [[1]]}, None, {"a": ["x"]})["a"].per_text)


def test_words_stand_among_the_scores_where_there_is_a_lexicon() -> None:
    lexicon = Lexicon("en", frozenset({"a", "boat"}))
    texts, strings = {"a": [[1], [2]]}, {"a": [" boat baot Ida, a", "at rowed."]}
    of = score(texts, None, strings, contexts={"a": ["Ida rowed a", "The bo"]}, lexicon=lexicon)["a"]
    assert of.per_text["word_share"] == pytest.approx([2 / 3, 0])
    assert of.summary()["word_share"]["n"] == 2
    assert "word_share" not in score(texts, None, strings)["a"].per_text


def test_positions_by_hand() -> None:
    scores = score({"a": [[1] * 96 + list(range(2, 34)), [1] * 96]}, None, {"a": ["x", "y"]})["a"]
    assert [(end, value.value, value.n) for end, value in scores.by_position] == [
        (96, pytest.approx(1 / 96), 2),
        (128, pytest.approx(33 / 96), 1),
    ]


def test_copies_by_hand() -> None:
    training = [[7, 7], list(range(20))]
    texts = {"a": [[50, *range(3, 12), 51], [1, 2]], "b": [[60]]}

    def decode(ids: Any) -> str:
        return "".join(f"{token} " for token in ids)

    found = copies(texts, TrainingIndex(training), training, decode)
    assert found["b"] == []
    (row,) = found["a"]
    assert (row["text"], row["overlap"]) == (0, 9)
    assert row["pieces"] == [["50 ", None], ["3 4 5 6 7 8 9 10 11 ", 1], ["51 ", None]]
    assert row["documents"]["1"]["name"] == "training sequence 2"
    assert row["documents"]["1"]["begins"] == "0 1 2 3 4 5 6 7 8 9 10 11 …"
    assert "context" not in row
    names, contexts = ["one.txt", "two.jsonl, line 3"], {"a": ["After", "Before"], "b": ["Never"]}
    (row,) = copies(texts, TrainingIndex(training), training, decode, names, contexts)["a"]
    assert (row["context"], row["documents"]["1"]["name"]) == ("After", "two.jsonl, line 3")


def test_texts_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    story = "The ferry left the island at noon, and nobody on the quay had thought to wave at it."
    (tmp_path / "story.txt").write_text(story)
    rows = [
        {"context": "It rained.", "continuation": f" {story}", "model": "m_1", "reference": " They went home."},
        {"context": "It rained.", "continuation": " and so" * 60, "model": "other", "reference": " They went home."},
    ]
    file = lines(tmp_path / "texts.jsonl", *rows)
    out = tmp_path / "out"
    main(["evaluate", "--texts", str(file), "--training", str(tmp_path / "story.txt"), "-o", str(out), "--json"])
    printed = capsys.readouterr()
    results = json.loads(printed.out)
    assert "m_1: 1 of 1 texts are shorter than 96 tokens" in printed.err
    assert list(results["conditions"]) == ["m_1", "other", "human"]
    assert results["conditions"]["human"]["mtld"]["n"] <= 1
    assert results["conditions"]["m_1"]["long_overlap_share"]["value"] == 1
    assert results["conditions"]["other"]["loop_share"]["value"] == 1
    assert results["copies"]["m_1"][0]["documents"]["0"]["name"] == "story.txt"
    tables = results.pop("tables")
    assert results == json.loads((out / "evaluation.json").read_text())
    assert "table3" not in tables
    assert r"m\_1" in (out / "tables" / "table2.tex").read_text()

    main(["evaluate", "--texts", str(file)])
    shown = capsys.readouterr().out
    assert "Table 1. Diversity" in shown
    assert "Table 2" not in shown
    assert "–" in shown


def test_each_bad_line_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "texts.jsonl"
    bad = ["{broken", "", "[1]", '{"context": 3}', '{"continuation": "x", "model": "a\\u001bb"}']
    file.write_text("\n".join(['{"continuation": "x"}', *bad]))
    said = fails(capsys, "evaluate", "--texts", file, "--training", "nope.txt")
    assert [line.partition(", line ")[2][:2] for line in said[:-1]] == ["2:", "4:", "5:", "5:", "6:"]
    assert "--training nope.txt" in said[-1]
    assert "cannot be read" in fails(capsys, "evaluate", "--texts", tmp_path / "none.jsonl")[0]
    file.write_text("\n")
    assert "holds no line" in fails(capsys, "evaluate", "--texts", file)[0]


def test_many_bad_lines_of_a_kind_are_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "texts.jsonl", *[{"text": "x"}] * 2880, {"continuation": 3}, {"continuation": 4})
    one, other = fails(capsys, "evaluate", "--texts", file)
    assert f"--texts {file}, line 1: has no continuation; " in one
    assert one.endswith(" (2,879 more like it)")
    assert other.endswith(
        f"--texts {file}, line 2881: continuation is 3, not text; write it in quotes (1 more like it)"
    )


def test_the_column_of_the_training_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "texts.jsonl", {"continuation": "one two three four five six"})
    training = lines(tmp_path / "training.jsonl", {"title": "none", "body": "zero one two three four five six"})
    flags = ["evaluate", "--texts", str(file), "--json"]
    (said,) = fails(capsys, *flags, "--training", training)
    assert said.startswith(f"hyperfit: --training {training}: a column named text is not there; name one")
    main([*flags, "--training", str(training), "--text-column", "body"])
    overlap = json.loads(capsys.readouterr().out)["conditions"]["texts"]["longest_overlap"]["value"]
    main([*flags, "--training", str(training), "--text-column", "title"])
    assert json.loads(capsys.readouterr().out)["conditions"]["texts"]["longest_overlap"]["value"] < overlap
    for useless in (flags, ["evaluate", a_run(tmp_path)]):
        (said,) = fails(capsys, *useless, "--text-column", "body")
        assert said.startswith("hyperfit: --text-column: says which column of --")


def test_texts_of_a_human_are_the_references(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "texts.jsonl"
    rows = [{"continuation": "one two", "model": "human"}, {"continuation": "three", "model": "m", "reference": "four"}]
    file.write_text("\n".join(json.dumps(row) for row in rows))
    main(["evaluate", "--texts", str(file), "--json"])
    conditions = json.loads(capsys.readouterr().out)["conditions"]
    assert list(conditions) == ["m", "human"]
    assert conditions["human"]["self_bleu"]["n"] == 2


def test_what_lies_beside_the_tables_stays(tmp_path: Path) -> None:
    file, own = tmp_path / "texts.jsonl", tmp_path / "out" / "tables" / "mine.csv"
    file.write_text('{"continuation": "one two"}\n')
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    main(["evaluate", "--texts", str(file), "-o", str(tmp_path / "out")])
    assert own.read_text() == "mine"
    assert (own.parent / "table1.tex").is_file()


WORDS = "river stone bread window horse letter winter copper garden ladder music salt paper engine harbour".split()


def some_text(seed: int, words: int = 140) -> str:
    return "".join(f" {word}" for word in np.random.default_rng(seed).choice(WORDS, words))


def test_mauve_and_coherence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each as called on the texts themselves: in pairs where each has a reference of its own, else side by side."""
    contexts, references = [f"Tale {number}:" for number in range(24)], [some_text(number) for number in range(24)]
    paired, alone = [some_text(100 + number) for number in range(24)], [some_text(200 + number) for number in range(22)]
    paired[3] = " too short"  # its partner goes too
    rows = [
        {"context": context, "continuation": text, "reference": reference, "model": "paired"}
        for context, text, reference in zip(contexts, paired, references, strict=True)
    ]
    rows += [
        {"context": context, "continuation": text, "model": "alone"}
        for context, text in zip(contexts, alone, strict=False)
    ]
    rows += [{"continuation": some_text(300), "model": "bare"}]
    file = lines(tmp_path / "texts.jsonl", *rows)
    tiny = ["--mauve", "builtin:tiny", "--coherence", "builtin:tiny", "--device", "cpu"]
    main(["evaluate", "--texts", str(file), *tiny, "-o", str(tmp_path / "out"), "--json"])
    printed = capsys.readouterr()
    results = json.loads(printed.out)
    assert (results["settings"]["mauve"], results["settings"]["precision"]) == ("builtin:tiny", "fp32")
    found = results["conditions"]

    for name, texts, in_pairs in (("paired", paired, True), ("alone", alone, False)):
        expected = mauve(references, texts, featuriser="builtin:tiny", paired=in_pairs, device="cpu")
        assert found[name]["mauve"]["values"] == expected.values.tolist()
        assert (found[name]["mauve"]["value"], found[name]["mauve"]["n"]) == (expected.mean, expected.n_written)
    assert found["paired"]["mauve"]["dropped"] == {"human": 1, "written": 1}
    assert found["alone"]["mauve"]["dropped"] == {"human": 0, "written": 0}
    assert found["bare"]["mauve"]["value"] is None
    assert "MAUVE of bare: undefined, 1 texts are long enough" in printed.err
    assert "mauve" not in found["human"]

    for name, texts in (("paired", paired), ("alone", alone), ("human", references)):
        judged = coherence(contexts[: len(texts)], texts, scorer="builtin:tiny", device="cpu")
        assert found[name]["coherence"]["value"] == pytest.approx(judged.mean(), rel=1e-4)
        assert found[name]["coherence"]["n"] == len(texts)
        assert found[name]["coherence"]["low"] < judged.mean() < found[name]["coherence"]["high"]
    assert found["bare"]["coherence"] == {"value": None, "low": None, "high": None, "n": 0}
    assert "Likeness to human text and coherence" in (tmp_path / "out" / "tables" / "likeness.tex").read_text()


def test_one_reference_of_several_texts_is_compared_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two samples a context: not pairs, or each human text would count twice."""
    rows = [
        {"context": f"{number}", "continuation": some_text(100 + 2 * number + sample), "reference": some_text(number)}
        for number in range(20)
        for sample in range(2)
    ]
    file = lines(tmp_path / "texts.jsonl", *rows)
    main(["evaluate", "--texts", str(file), "--mauve", "builtin:tiny", "--json"])
    found = json.loads(capsys.readouterr().out)["conditions"]["texts"]["mauve"]
    assert (found["n"], found["bins"]) == (40, 2)


def test_what_mauve_and_coherence_lack_is_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = lines(tmp_path / "texts.jsonl", {"continuation": "one two"})
    small = save_tiny(tmp_path / "small", "gpt2")
    flags = ["--texts", file, "--mauve", small, "--coherence", "./nowhere", "--device", "cuda:99"]
    said = fails(capsys, "evaluate", *flags, "-o", tmp_path / "out")
    for part in (
        "--device cuda:99",
        f"--mauve {small}: knows 64 positions",
        f"--mauve {small}: {file} holds no human text to compare with; add the field reference",
        "--coherence ./nowhere: no such model folder",
        f"--coherence ./nowhere: no line of {file} has a context",
    ):
        assert sum(part in line for line in said) == 1
    assert len(said) == 5
    assert not (tmp_path / "out").exists()
    lines(file, {"context": "a", "continuation": " long" * 40})
    (line,) = fails(capsys, "evaluate", "--texts", file, "--coherence", small)
    assert line.endswith(
        "has 201 of its tokens, and it knows 64 positions; give a model that knows more, or shorter texts"
    )


def a_run(folder: Path) -> Path:
    """A folder that is taken for one as long as nothing of it is read."""
    (folder / "run").mkdir()
    (folder / "run" / "recipe.json").write_text("{}")
    return folder / "run"


def test_a_run_or_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for both in (["run", "--texts", "x.jsonl"], []):
        (line,) = fails(capsys, "evaluate", *both)
        assert "give either a RUN, or texts" in line
    assert "--seed: is not for --texts" in fails(capsys, "evaluate", "--texts", "x.jsonl", "--seed", 3)[0]
    for useless in (["--device", "cpu"], ["--precision", "bf16"]):
        (line,) = fails(capsys, "evaluate", "--texts", "x.jsonl", *useless)
        assert line.startswith(f"hyperfit: {useless[0]}: is with --texts for --mauve and --coherence")
    said = fails(capsys, "evaluate", "--texts", "x.jsonl", "--mauve", "builtin:tiny", "--device", "cpu", "--total", 99)
    assert [line.split()[1] for line in said] == ["--total:"]
    said = fails(capsys, "evaluate", a_run(tmp_path), "--training", "builtin:news", "-o", "there")
    assert [line.split()[1] for line in said] == ["--training:"]


def test_of_chats_only_replies_can_be_copied() -> None:
    """What the user asks is read, as the prompt of a completion is; a prompt's own reply is not learned either."""
    said = (Message("user", "A goat?"), Message("assistant", "A map."), Message("user", "Why?"))
    chat = (*said, Message("assistant", "No."))
    found = {
        "whole": Document.of_chat(chat, "c:1"),
        "asked": Document.of_chat(chat, "c:1", given=3),
        "completion": Document("A goat? A map.", "c:1", given=7),
        "text": Document("A goat? A map.", "c:1"),
    }
    assert {name: [part.text for part in learned_parts(one)] for name, one in found.items()} == {
        "whole": ["A map.", "No."],
        "asked": ["No."],
        "completion": [" A map."],
        "text": ["A goat? A map."],
    }
    assert [part.origin for part in learned_parts(found["whole"])] == ["c:1", "c:1"]


def test_training_chats_of_texts_from_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of words that the question has and the reply has not, none are copied."""
    file = lines(tmp_path / "texts.jsonl", {"continuation": "one two three four"}, {"continuation": "five six seven"})
    chat = [{"role": "user", "content": "one two three four"}, {"role": "assistant", "content": "five six seven"}]
    training = lines(tmp_path / "chats.jsonl", {"messages": chat})
    main(["evaluate", "--texts", str(file), "--training", str(training), "-o", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "evaluation.json").read_text())
    (name,) = found["conditions"]
    measured = found["conditions"][name]["longest_overlap"]
    tokenizer = load_tokenizer("builtin:tiny")
    asked, said = (tokenizer.encode(turn["content"], add_special_tokens=False) for turn in chat)
    assert not {*asked} & {*said}
    whole = len(said)
    assert (measured["value"], measured["n"]) == (whole / 2, 2)
