"""Judgements from JSON lines and spreadsheets: what is read, and what is said of what cannot be."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from hyperfit.errors import UserError
from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.reading.files import read_judgements
from hyperfit.prefer.reading.lines import judgement_of, row_problems
from simulated_studies import judgement

WIDE = """Context,A,B,Domain,Tokens,Annotator 1,Annotator 2,Annotator 3
c1,hyperfitted/greedy,human,news,128,A,equal,human
c1,human,base/greedy,news,128,1,original,
c2,hyperfitted/greedy,human,wiki,256,B,2,=
"""


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def problems(*paths: Path) -> str:
    with pytest.raises(UserError) as raised:
        read_judgements(paths)
    return "\n".join(raised.value.problems)


def test_annotators_of_several_studies_are_different_people(tmp_path: Path) -> None:
    one = asdict(judgement("1", 1, "first", study="aaaa"))
    other = asdict(judgement("1", 1, "second", study="bbbb"))
    files = [write(tmp_path / "one.jsonl", one), write(tmp_path / "other.jsonl", other)]
    assert [row.judge for row in read_judgements(files[:1]).people] == ["1"]
    both = read_judgements(files)
    assert [row.judge for row in both.people] == ["aaaa/1", "bbbb/1"]
    assert [row.choice for row in both.without(["aaaa/1"]).people] == ["second"]
    sheet = tmp_path / "sheet.csv"
    sheet.write_text("study,context,A,annotator 1\n,c1,x,A\ncccc,c2,x,A\n")
    assert [row.judge for row in read_judgements([files[0], sheet]).people] == [
        "aaaa/1",
        "annotator 1",
        "cccc/annotator 1",
    ]
    assert "1 has judged item item 1 twice" in problems(files[0], files[0])


choices = st.sampled_from(["first", "second", "equal"])
words = st.text(min_size=1, max_size=8).filter(str.strip)
judgements = st.builds(
    Judgement,
    judge=words,
    item=words,
    context=words,
    domain=st.text(max_size=5),
    tokens=st.integers(0, 999),
    first=st.just("one"),
    second=st.just("two"),
    choice=choices,
    seconds=st.none() | st.floats(0, 1e6),
    swapped=st.booleans(),
    purpose=st.sampled_from(["study", "gold", "repeat"]),
    expected=st.none() | choices,
    questions=st.dictionaries(words, choices, max_size=2),
    comment=st.text(max_size=20),
)


@given(judgements)
def test_what_is_written_is_read(one: Judgement) -> None:
    row = json.loads(json.dumps({**asdict(one), "context_text": "more keys are left alone"}))
    assert not list(row_problems(row))
    assert judgement_of(row) == one


def test_models_stand_apart_from_people(tmp_path: Path) -> None:
    rows = [asdict(judgement("a", 1, "first")), {**asdict(judgement("m", 1, "first")), "kind": "model"}]
    rows.append({**asdict(judgement("log-likelihood of m", 1, "first")), "kind": "likelihood"})
    found = read_judgements([write(tmp_path / "one.jsonl", *rows)])
    assert [one.judge for one in found.people] == ["a"]
    assert (list(found.models), list(found.likelihoods)) == (["m"], ["log-likelihood of m"])
    assert found.without(["m"]).models == {}
    with pytest.raises(UserError, match="--without b"):
        found.without(["b"])


def test_every_kind_of_bad_line_is_told_once(tmp_path: Path) -> None:
    good = asdict(judgement("a", 1, "first"))
    said = problems(
        write(
            tmp_path / "bad.jsonl",
            {**good, "choice": "A"},
            {**good, "choice": "B"},
            {**good, "judge": ""},
            {**good, "tokens": -1, "purpose": "fun"},
            {**good, "second": good["first"]},
            {**good, "questions": {"coherence": "left"}},
            ["a list"],
        )
    )
    for part in (
        'line 1: choice is "A"; give one of first, second, equal (1 more like it)',
        "line 3: has no judge",
        "line 4: tokens is -1",
        'line 4: purpose is "fun"',
        "line 5: first and second are both",
        "line 6: questions is",
        "line 7: is not an object",
    ):
        assert part in said
    (tmp_path / "broken.jsonl").write_text('{"judge": \n')
    assert "line 1: cannot be read as JSON" in problems(tmp_path / "broken.jsonl")
    assert "no such file" in problems(tmp_path / "absent.jsonl")
    (tmp_path / "notes.md").write_text("x")
    assert "is none of" in problems(tmp_path / "notes.md")
    (tmp_path / "empty").mkdir()
    assert "holds no judgements" in problems(tmp_path / "empty")
    assert "holds no judgement" in problems(write(tmp_path / "empty.jsonl"))


def test_a_judgement_counts_once(tmp_path: Path) -> None:
    row = asdict(judgement("a", 1, "first"))
    one, other = write(tmp_path / "one.jsonl", row), write(tmp_path / "two.jsonl", row)
    assert "a has judged item item 1 twice" in problems(one, other)
    assert len(read_judgements([write(one, row, {**row, "purpose": "repeat"})]).people) == 2


def test_of_a_folder_the_lines_are_read_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    write(tmp_path / "one.jsonl", asdict(judgement("a", 1, "first")))
    write(tmp_path / "one.exchanges.jsonl", {"key": "k"})
    (tmp_path / "same.csv").write_text(WIDE)
    assert [one.judge for one in read_judgements([tmp_path]).people] == ["a"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolons", "xlsx"])
def test_spreadsheets_with_a_column_an_annotator(tmp_path: Path, kind: str) -> None:
    rows = [line.split(",") for line in WIDE.splitlines()]
    path = tmp_path / f"study.{'csv' if kind == 'semicolons' else kind}"
    if kind == "xlsx":
        book = Workbook()
        for row in rows:
            book.active.append([int(cell) if cell.isdigit() else cell or None for cell in row])
        book.save(path)
    else:
        separator = {"csv": ",", "tsv": "\t", "semicolons": ";"}[kind]
        path.write_text("".join(separator.join(row) + "\r\n" for row in rows), encoding="utf-8-sig")
    found = read_judgements([path]).people
    told = [(one.judge[-1], one.context, one.first, one.second, one.choice, one.tokens) for one in found]
    assert told == [
        ("1", "c1", "hyperfitted/greedy", "human", "first", 128),
        ("2", "c1", "hyperfitted/greedy", "human", "equal", 128),
        ("3", "c1", "hyperfitted/greedy", "human", "second", 128),
        ("1", "c1", "human", "base/greedy", "first", 128),
        ("2", "c1", "human", "base/greedy", "first", 128),
        ("1", "c2", "hyperfitted/greedy", "human", "second", 256),
        ("2", "c2", "hyperfitted/greedy", "human", "second", 256),
        ("3", "c2", "hyperfitted/greedy", "human", "equal", 256),
    ]
    assert len({one.item for one in found}) == 3


def test_spreadsheets_with_a_row_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "long.csv"
    path.write_text(
        "judge,item,context,domain,tokens,first,second,choice,seconds,swapped,purpose,expected,question_coherence\n"
        "1,i,c,news,128,base/greedy,human,second,3.5,True,gold,second,equal\n"
    )
    (one,) = read_judgements([path]).people
    assert replace(one, context="context c") == judgement(
        "1",
        "c",
        "second",
        item="i",
        first="base/greedy",
        seconds=3.5,
        swapped=True,
        purpose="gold",
        expected="second",
        questions={"coherence": "equal"},
    )


def test_without_b_the_other_is_human(tmp_path: Path) -> None:
    path = tmp_path / "p1.csv"
    path.write_text("context,model,annotator 1,annotator 2\nc,TinyLlama/greedy,model,equal\n")
    one, other = read_judgements([path]).people
    assert (one.first, one.second, one.choice, other.choice) == ("TinyLlama/greedy", "human", "first", "equal")


def test_what_is_wrong_with_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("context,A,B,annotator 1\nc,x,y,perhaps\nc,x,y,maybe\n,x,y,A\nc,x,x,A\nc,x,y,human\n")
    said = problems(path)
    assert "row 2: annotator 1 answered 'perhaps'; write A, B or equal, or clear the cell (2 more like it)" in said
    assert "row 4: an answer without context" in said
    assert "row 5: A and B are both x" in said
    path.write_text("text,answer\nc,A\n")
    assert "has no column for context, first, annotators' answers" in problems(path)
    path.write_text("context,A,model,answer,annotator\n")
    assert "A and model both are the first column" in problems(path)
    path.write_text("")
    assert "is empty" in problems(path)
    (tmp_path / "no.xlsx").write_bytes(b"PK nothing")
    assert "is no workbook" in problems(tmp_path / "no.xlsx")
    (tmp_path / "latin.csv").write_bytes("context,A,answer,annotator\né".encode("latin-1"))
    assert "cannot be read" in problems(tmp_path / "latin.csv")
