"""Reading texts of every kind, and one clear message for everything that cannot be read."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hyperfit.data.builtin import TEXTS
from hyperfit.data.reading.documents import Document
from hyperfit.data.reading.messages import Message
from hyperfit.data.reading.sources import read_documents, read_prompts
from hyperfit.errors import UserError

TWO = ["A goat ate the map.\nThen it slept.", "Wer hat den Käse\u2028versteckt?"]
"""With a line end and, in the second, a separator that is no line end in JSONL."""


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def texts(source: Path | str, column: str | None = None) -> list[str]:
    """The texts of a source that sets nothing apart."""
    documents, heldout = read_documents(str(source), column)
    assert heldout == []
    return [document.text for document in documents]


def prompts(file: Path, column: str | None = None) -> list[str]:
    """The texts that a file gives to be continued."""
    return [prompt.text for prompt in read_prompts(file, column)]


def problems(source: Path | str, column: str | None = None) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        read_documents(str(source), column)
    return caught.value.problems


def problem(source: Path | str, column: str | None = None) -> str:
    """The one problem that a source has."""
    found = problems(source, column)
    assert len(found) == 1
    return found[0]


# What can be read


def test_txt_is_one_document(tmp_path: Path) -> None:
    path = tmp_path / "goat.txt"
    path.write_text(TWO[0] + "\n\n" + TWO[1], encoding="utf-8")
    assert read_documents(str(path)) == ([Document(TWO[0] + "\n\n" + TWO[1], str(path))], [])


def test_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "marked.txt"
    path.write_bytes(b"\xef\xbb\xbfgoat")
    assert texts(path) == ["goat"]


def test_jsonl_is_a_document_a_row_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    lines = [json.dumps({"text": TWO[0]}), "", json.dumps({"id": 7, "text": TWO[1]}, ensure_ascii=False)]
    path.write_text("\n".join(lines), encoding="utf-8")
    assert read_documents(str(path))[0] == [Document(TWO[0], f"{path}:1"), Document(TWO[1], f"{path}:3")]


def test_jsonl_rows_without_text_are_passed_over(tmp_path: Path) -> None:
    rows = [{"text": "goat"}, {"text": None}, {"text": " \n"}, {"note": 3}, {"text": "map"}]
    assert texts(jsonl(tmp_path / "gaps.jsonl", rows)) == ["goat", "map"]


def test_csv_fields_may_hold_line_ends_commas_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('id,text\n1,"one,\n""two""\n\nthree"\n2,plain\n', encoding="utf-8")
    documents, _ = read_documents(str(path))
    assert documents == [Document('one,\n"two"\n\nthree', f"{path}:1"), Document("plain", f"{path}:2")]


def test_csv_reads_a_text_of_millions_of_characters(tmp_path: Path) -> None:
    long = "A goat ate the map.\n" * 150_000
    path = tmp_path / "long.csv"
    path.write_text(f'text,n\nshort,1\n"{long}",2\nshort again,3\n', encoding="utf-8")
    assert texts(path) == ["short", long, "short again"]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.dictionary(pa.int32(), pa.string())], ids=str)
def test_parquet_strings_of_any_kind(tmp_path: Path, kind: pa.DataType) -> None:
    path = parquet(tmp_path / "rows.parquet", text=pa.array([TWO[0], None, TWO[1]]).cast(kind), n=[1, 2, 3])
    assert read_documents(str(path))[0] == [Document(TWO[0], f"{path}:1"), Document(TWO[1], f"{path}:3")]


@pytest.fixture
def tables(tmp_path: Path) -> Callable[[dict[str, list[Any]]], list[Path]]:
    """The same table in every format."""

    def write(columns: dict[str, list[Any]]) -> list[Path]:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        table = tmp_path / "t.csv"
        table.write_text("\n".join(",".join(map(str, line)) for line in (columns, *(row.values() for row in rows))))
        return [jsonl(tmp_path / "t.jsonl", rows), table, parquet(tmp_path / "t.parquet", **columns)]

    return write


Tables = Callable[[dict[str, list[Any]]], list[Path]]


def test_the_text_column_is_found(tables: Tables) -> None:
    for path in tables({"title": ["T", "U"], "text": ["goat", "map"], "n": [1, 2]}):
        assert texts(path) == ["goat", "map"]
    for path in tables({"n": [1, 2], "story": ["goat", "map"]}):
        assert texts(path) == ["goat", "map"], "the only column of strings"


def test_the_text_column_is_named(tables: Tables) -> None:
    for path in tables({"title": ["T", "U"], "text": ["goat", "map"]}):
        assert texts(path, "title") == ["T", "U"]


@pytest.mark.parametrize(("separator", "called"), [(";", "semicolons"), ("\t", "tabs"), ("|", "bars")])
def test_csv_by_other_separators(
    tmp_path: Path, separator: str, called: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    lines = [["id", "title", "text"], ["0", "A, B", '"one\ntwo; three\t|"'], ["1", "C", "four, five, six"]]
    path.write_text("\n".join(separator.join(line) for line in lines), encoding="utf-8")
    assert texts(path) == ["one\ntwo; three\t|", "four, five, six"]
    assert capsys.readouterr().err == f"{path}: read as separated by {called}\n"


def test_csv_of_one_column_may_hold_separators_in_quotes(tmp_path: Path) -> None:
    path = tmp_path / "one.csv"
    path.write_text('text\n"goat; map"\n"a, b"\n')
    assert texts(path) == ["goat; map", "a, b"]


LONG = "Eleven men and a rope would have been needed to land a grown bull on the island."


@pytest.mark.parametrize(
    "first", [f'"{LONG}"', f'0,T0,"{LONG}"', f"0;T0;{LONG}", "7,goat", "goat,2024-05-01", "The end."]
)
def test_csv_without_names_is_refused(tmp_path: Path, first: str) -> None:
    """Else its first text would be lost as the name of a column."""
    path = tmp_path / "bare.csv"
    path.write_text(f"{first}\n{first}\n")
    message = problem(path)
    assert message.startswith(f"--data {path}: has no row of column names; its first row holds ")
    assert "put names above it, with text for the texts" in message


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("内容", ["山羊把地图吃掉了。", "船什么时候到？", "快跑！", "他们等了一夜……"]),
        ("本文", ["山羊は地図を食べた。", "舟はいつ着く？", "走れ！", "ヤギは眠った．"]),
        ("text", ["बकरी ने नक्शा खा लिया।", "متى تصل السفينة؟", "بکری نے نقشہ کھا لیا۔", "មានពពែ។"]),
    ],
    ids=["Chinese", "Japanese", "Hindi and others"],
)
def test_csv_without_names_is_refused_in_other_scripts(tmp_path: Path, name: str, rows: list[str]) -> None:
    """Short sentences without a space, each known by the mark at its end; under a name they are read."""
    path = tmp_path / "t.csv"
    for first in rows:
        path.write_text("\n".join([first, *rows]) + "\n", encoding="utf-8")
        assert problem(path).startswith(f"--data {path}: has no row of column names; its first row holds {first};")
    path.write_text("\n".join([name, *rows]) + "\n", encoding="utf-8")
    assert texts(path) == rows


def test_csv_names_may_look_like_anything_where_the_texts_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "form.csv"
    path.write_text("When?,Please tell us in a few words how it was.\n1,goat\n2,map\n")
    assert "has no row of column names" in problem(path)
    assert texts(path, "Please tell us in a few words how it was.") == ["goat", "map"]
    path.write_text(",2019,text\n0,1,goat\n1,2,map\n")
    assert texts(path) == ["goat", "map"], "with an index, and a column named text"


def test_csv_with_a_quote_that_does_not_close_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "open.csv"
    path.write_text('text\ngoat\n"map\nowl\n')
    assert "cannot be read as .csv (unexpected end of data)" in problem(path)


def test_csv_dates_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "dated.csv"
    path.write_text("day,seen,story\n2024-05-01,true,goat\n2024-05-02,false,\n")
    assert texts(path) == ["goat"]


def test_folder_is_read_to_its_depth_in_the_order_of_names(tmp_path: Path) -> None:
    deep = tmp_path / "b" / "c"
    deep.mkdir(parents=True)
    (tmp_path / "z.txt").write_text("last")
    (tmp_path / "a.txt").write_text("first")
    (tmp_path / "cover.png").write_bytes(b"\x89PNG\0")
    jsonl(deep / "rows.jsonl", [{"text": "second"}, {"text": "third"}])
    (deep / "rows.csv").write_text("text\nbefore second\n")
    parquet(tmp_path / "b" / "d.parquet", text=["fourth"])
    assert texts(tmp_path) == ["first", "before second", "second", "third", "fourth", "last"]


def test_folder_says_what_it_skips_and_reads_endings_in_any_case(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.txt", "b.TXT", "c.md", ".hidden.txt", ".cache/d.txt", "e.json", "f.json", "LICENCE"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    jsonl(tmp_path / "g.JSONL", [{"text": "row"}])
    assert texts(tmp_path) == ["a.txt", "b.TXT", "row"]
    assert capsys.readouterr().err == (
        f"{tmp_path}: files skipped: 2 .json, 1 .md, 1 no ending; what can be read is .txt, .jsonl, .csv, .parquet\n"
    )
    assert texts(tmp_path / "b.TXT") == ["b.TXT"]
    assert texts(tmp_path / ".hidden.txt") == [".hidden.txt"], "named, it is read"


def test_rows_without_text_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = jsonl(tmp_path / "gaps.jsonl", [{"text": "goat"}, {"text": None}, {"text": " "}])
    assert texts(path) == ["goat"]
    assert capsys.readouterr().err == f"{path}: 2 rows without text passed over\n"


def test_folder_with_train_and_heldout_is_split_so(tmp_path: Path) -> None:
    for part, names in (("train", "ab"), ("heldout", "c")):
        (tmp_path / part / "more").mkdir(parents=True)
        for name in names:
            (tmp_path / part / "more" / f"{name}.txt").write_text(name)
    train, heldout = read_documents(str(tmp_path))
    assert [document.text for document in train] == ["a", "b"]
    assert [document.text for document in heldout] == ["c"]


@pytest.mark.parametrize("name", TEXTS)
def test_builtin_texts_are_split(name: str) -> None:
    train, heldout = read_documents(f"builtin:{name}")
    assert train
    assert heldout
    assert {Path(document.origin).parent.name for document in train} == {"train"}
    assert {Path(document.origin).parent.name for document in heldout} == {"heldout"}


# Data sets as the hub serves them: `datasets` loads a local folder in the same way


@pytest.fixture
def data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a data set with two splits and two configurations."""
    folder = tmp_path / "tales"
    folder.mkdir()
    for name, rows in {"short-train": ["goat", "map"], "short-test": ["owl"], "long-train": ["epic"]}.items():
        jsonl(folder / f"{name}.jsonl", [{"n": 1, "story": row} for row in rows])
    (folder / "README.md").write_text(
        """\
---
configs:
- config_name: short
  default: true
  data_files:
  - {split: train, path: short-train.jsonl}
  - {split: test, path: short-test.jsonl}
- config_name: long
  data_files:
  - {split: train, path: long-train.jsonl}
---
"""
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datasets.disable_progress_bars()
    return "tales"


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (":", ["goat", "map"]),
        (":short", ["goat", "map"]),
        (":long", ["epic"]),
        (":short:test", ["owl"]),
        ("::test", ["owl"]),
    ],
)
def test_data_set_with_config_and_split(data_set: str, rest: str, expected: list[str]) -> None:
    documents, heldout = read_documents(data_set + rest)
    assert [document.text for document in documents] == expected
    assert documents[0].origin == f"{data_set}{rest}:1"
    assert heldout == []


def test_hub_name_is_taken_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def load(*args: Any, **kwargs: Any) -> datasets.Dataset:
        calls.append((args, kwargs))
        return datasets.Dataset.from_dict({"text": ["goat", None, "map"]})

    monkeypatch.setattr(datasets, "load_dataset", load)
    for source in ("org/tales", "org/tales:short", "org/tales:short:test[:10%]", "tales"):
        assert texts(source) == ["goat", "map"]
    assert calls == [
        (("org/tales", None), {"split": "train"}),
        (("org/tales", "short"), {"split": "train"}),
        (("org/tales", "short"), {"split": "test[:10%]"}),
        (("tales", None), {"split": "train"}),
    ]


def test_hub_data_set_without_a_text_column(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.Dataset.from_dict({"title": ["T"], "story": ["goat"], "n": [1]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: rows)
    message = problem("org/tales")
    assert message.startswith("--data org/tales: ")
    assert "--text-column" in message
    assert "title, story, n" in message
    assert problem("org/tales", "n").startswith("--text-column n: in org/tales this column does not hold strings")
    assert texts("org/tales", "story") == ["goat"]


def test_hub_data_set_without_text(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = datasets.Dataset.from_dict({"text": ["", " "]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: rows)
    assert problem("org/tales") == "--data org/tales: holds no text; remove it or name another"


def test_hub_data_set_that_cannot_be_loaded(data_set: str) -> None:
    for source in ("org/no-such-tales", "no-such-tales", f"{data_set}:short:validation", f"{data_set}:medium"):
        message = problem(source)
        assert message.startswith(f"--data {source}: neither a file or folder here nor a hub data set")
        assert "ORG/NAME[:CONFIG[:SPLIT]]" in message
        assert "name another" in message


# What cannot be read


@pytest.mark.parametrize(
    "source", ["no-such.txt", "no-such.parquet", "./folder", "/no/such/folder", "a/b/c", "~/texts"]
)
def test_no_such_file(source: str) -> None:
    message = problem(source)
    assert message.startswith(f"--data {source}: no such file or folder")
    assert str(Path.cwd()) in message
    assert "name another" in message


@pytest.mark.parametrize(
    ("name", "content", "says", "remedy"),
    [
        ("empty.txt", b"", "the file is empty", "remove it or name another"),
        ("empty.parquet", b"", "the file is empty", "remove it or name another"),
        ("blank.txt", b" \n\t\n", "holds no text", "remove it or name another"),
        ("blank.jsonl", b"\n\n", "holds no text", "remove it or name another"),
        ("blank-rows.jsonl", b'{"text": ""}\n{"text": "  "}\n', "holds no text", "remove it or name another"),
        ("header.csv", b"text,n\n", "holds no text", "remove it or name another"),
        ("latin.txt", "Käse".encode("latin-1"), "not UTF-8 text (byte 1 is 0xe4)", "convert it"),
        ("marked.txt", b"\xef\xbb\xbfK\xe4se", "not UTF-8 text (byte 4 is 0xe4)", "convert it"),
        ("latin.jsonl", '{"text": "Käse"}'.encode("latin-1"), "not UTF-8 text (byte 11 is 0xe4)", "convert it"),
        ("latin.csv", "text\nKäse".encode("latin-1"), "not UTF-8 text (byte 6 is 0xe4)", "convert it"),
        ("wide.txt", "goat".encode("utf-16"), "not UTF-8 text (byte 0 is 0xff)", "convert it"),
        ("binary.txt", b"goat\0map", "binary, not text (byte 4 is NUL)", "remove it or name another"),
        ("binary.csv", b"text\ngoat\0map", "binary, not text (byte 9 is NUL)", "remove it or name another"),
        ("broken.jsonl", b'{"text": "a"}\n\n{"text": "b"\n', "line 3 cannot be read as JSON", "mend or remove it"),
        ("three.jsonl", b'{"text": "a"}\n{\n[\n]\n', "line 2 cannot be read as JSON", "mend or remove it"),
        ("half.jsonl", b'{"text": "\\ud83d"}\n', "line 1 cannot be read as JSON", "mend or remove it"),
        ("deep.jsonl", b"[" * 100_000, "line 1 cannot be read as JSON", "mend or remove it"),
        ("list.jsonl", b'{"text": "a"}\n["b"]\n', "line 2 is not an object with named fields", "mend or remove it"),
        ("ragged.csv", b"text,n\ngoat,1\nmap\n", "cannot be read as .csv", "mend or remove it"),
        ("junk.parquet", b"PAR1 and nothing else", "cannot be read as .parquet", "mend or remove it"),
        ("twice.csv", b"text,text\ngoat,map\n", "stands more than once", "--text-column"),
        ("book.pdf", b"%PDF-1.7", "cannot read .pdf", "give .txt, .jsonl, .csv, .parquet"),
        ("README", b"goat", "cannot read a file with no ending", "give .txt, .jsonl, .csv, .parquet"),
    ],
)
def test_bad_file(tmp_path: Path, name: str, content: bytes, says: str, remedy: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    message = problem(path)
    assert message.startswith(f"--data {path}: ")
    assert says in message
    assert remedy in message


def test_broken_jsonl_says_how_many_lines_are(tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"text": "a"}\n{\n}\n"b"\n')
    assert "line 2 " in problem(path)
    assert ", and 2 more like it" in problem(path)


def test_file_without_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "locked.txt"
    path.write_text("goat")

    def locked(self: Path) -> bytes:  # a real lock would not hold where tests run as root
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", locked)
    message = problem(path)
    assert message.startswith(f"--data {path}: cannot be read (Permission denied)")
    assert "name another" in message


def test_a_link_that_leads_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("goat")
    for ending in ("txt", "jsonl", "parquet"):
        (tmp_path / f"gone.{ending}").symlink_to("nowhere")
    with pytest.raises(UserError) as caught:
        read_documents(str(tmp_path))
    assert list(caught.value.problems) == [
        f"--data {tmp_path}/gone.{ending}: cannot be read (No such file or directory); change that or name another"
        for ending in ("jsonl", "parquet", "txt")
    ]


def test_no_text_column_lists_the_columns(tables: Tables) -> None:
    for path in tables({"title": ["T"], "story": ["goat"], "n": [1]}):
        message = problem(path)
        assert message.startswith(f"--data {path}: ")
        assert "--text-column" in message
        assert message.endswith("title, story, n")


def test_text_column_of_numbers(tables: Tables) -> None:
    for path in tables({"title": ["T"], "story": ["goat"], "text": [1]}):
        assert problem(path).startswith(f"--data {path}: a column named text does not hold strings")


def test_named_column_that_is_missing_or_no_text(tables: Tables) -> None:
    for path in tables({"text": ["goat"], "n": [1]}):
        for name, reason in (("body", "is not there"), ("n", "does not hold strings")):
            message = problem(path, name)
            assert message.startswith(f"--text-column {name}: in {path} this column {reason}")
            assert message.endswith("text, n")


def test_jsonl_column_that_holds_strings_only_in_part(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "mixed.jsonl", [{"text": "goat"}, {"text": 3}])
    assert problem(path) == f"--data {path}, line 2: text is 3, not a string; write it in quotes, or remove the line"
    assert texts(jsonl(tmp_path / "ids.jsonl", [{"id": "a", "story": "goat"}, {"id": 3, "story": "map"}])) == [
        "goat",
        "map",
    ], "a column of both is no text column where another is whole"
    many = jsonl(tmp_path / "many.jsonl", [{"text": "goat"}, *({"text": number} for number in range(2000))])
    assert ", line 2: text is 0, not a string, and 1,999 more like it; " in problem(many)


def test_only_numbers(tables: Tables) -> None:
    for path in tables({"id": [1, 2], "n": [3.5, 4.5]}):
        assert problem(path) == (
            f"--data {path}: none of its columns holds strings; give texts, one a row, in a column named text. "
            "Its columns are id, n"
        )


CHAT = [{"role": "user", "content": "A goat?"}, {"role": "assistant", "content": "A map."}]


@pytest.mark.parametrize(
    ("name", "chat"),
    [
        ("messages", CHAT),
        ("conversations", [{"from": "human", "value": "A goat?"}, {"from": "gpt", "value": "A map."}]),
        ("talk", [{**message, "name": None} for message in CHAT]),
        ("messages", [{**one, "content": [{"type": "text", "text": one["content"]}]} for one in CHAT]),
    ],
)
def test_chats(tmp_path: Path, name: str, chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"source": ["a", "b"], name: [chat, chat]}
    listed = [dict(zip(rows, row, strict=True)) for row in zip(*rows.values(), strict=True)]
    hub = datasets.Dataset.from_dict(rows)
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: hub)
    for source in (jsonl(tmp_path / "c.jsonl", listed), parquet(tmp_path / "c.parquet", **rows), "org/chats"):
        for column in (None, name):
            found, _ = read_documents(str(source), column)
            assert [document.messages for document in found] == [
                (Message("user", "A goat?"), Message("assistant", "A map."))
            ] * 2
            assert [document.text for document in found] == ["A goat?\n\nA map."] * 2
        assert texts(source, "source") == ["a", "b"]
    assert texts(jsonl(tmp_path / "both.jsonl", [{"text": "goat", name: chat}])) == ["goat"]


def test_prompts_and_completions(tables: Tables, tmp_path: Path) -> None:
    for path in tables({"prompt": ["A goat", "Rain"], "completion": [" ate it.", ""]}):
        found, _ = read_documents(str(path))
        assert [(one.text, one.given, one.messages) for one in found] == [("A goat ate it.", 6, ())]
        assert texts(path, "prompt") == ["A goat", "Rain"]
    rows = [{"prompt": [*CHAT, CHAT[0]], "completion": [CHAT[1]]}]
    (chat,), _ = read_documents(str(jsonl(tmp_path / "chats.jsonl", rows)))
    assert (len(chat.messages), chat.given, chat.replies) == (4, 3, [3])


@pytest.mark.parametrize(
    ("chat", "reason"),
    [
        ("A goat?", "'A goat?' is not a list of messages"),
        ([{"role": "user"}], "{'role': 'user'} is not a message, which has a role and a content"),
        ([{"role": 1, "content": "a"}], "the role 1 is not a string"),
        (
            [{"role": "assistant", "content": "", "tool_calls": [{}]}],
            "a message has tool_calls, of which nothing",
        ),
        ([{"role": "assistant", "content": "a", "weight": 0}], "a message has weight 0, which is not heeded"),
        ([{"role": "assistant", "content": "a", "thinking": "b"}], "a message has thinking, of which nothing"),
        ([{"role": "user", "content": None}], "the content None is not a string"),
        ([{"role": "user", "content": [{"type": "image"}]}], "a content holds {'type': 'image'}, and only text"),
    ],
)
def test_what_is_no_chat_is_named(tmp_path: Path, chat: Any, reason: str) -> None:
    path = jsonl(tmp_path / "c.jsonl", [{"messages": CHAT}, {"messages": chat}, {"messages": chat}])
    found = problem(path, "messages")
    assert found.startswith(f"--data {path}, line 2: {reason}")
    assert found.endswith(", and 1 more like it; mend or remove the line")


def test_roles_are_told_apart_by_their_words(tmp_path: Path) -> None:
    rows = [{"conversations": [{"from": "Human", "value": "A?"}, {"from": " GPT", "value": "B", "tool_calls": None}]}]
    (chat,), _ = read_documents(str(jsonl(tmp_path / "c.jsonl", rows)))
    assert [message.role for message in chat.messages] == ["user", "assistant"]


def test_prompt_and_completion_are_of_one_kind(tmp_path: Path) -> None:
    """Numbers in a .csv file are text, and complete a prompt; elsewhere they are none."""
    (tmp_path / "p.csv").write_text("prompt,completion\nTwo and two is,4\nThree and three is,6\n")
    found, _ = read_documents(str(tmp_path / "p.csv"))
    assert [(one.text, one.given, one.learned) for one in found] == [
        ("Two and two is4", 14, "4"),
        ("Three and three is6", 18, "6"),
    ]
    for completion in (4, CHAT, None):
        path = jsonl(tmp_path / "p.jsonl", [{"prompt": "Two and two is", "completion": completion}] * 2)
        assert problem(path).startswith(f"--data {path}: prompt and completion have to hold strings, or both lists")
    path = jsonl(tmp_path / "p.jsonl", [{"prompt": "", "completion": "A goat"}, {"prompt": "A", "completion": " goat"}])
    found, _ = read_documents(str(path))
    assert [(one.given, one.prompted) for one in found] == [(0, True), (1, True)]


def test_chats_that_are_written_as_strings_are_no_texts(tmp_path: Path) -> None:
    row = json.dumps(CHAT)
    path = jsonl(tmp_path / "c.jsonl", [{"messages": row}])
    assert problem(path) == (
        f"--data {path}: messages holds strings, and not lists of messages; write the chats as .jsonl or .parquet, or "
        "give --text-column messages if these strings are texts"
    )
    assert texts(path, "messages") == [row]


def test_of_several_chats_one_is_to_be_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "pairs.jsonl", [{"chosen": CHAT, "rejected": CHAT}])
    assert problem(path) == (
        f"--data {path}: a column named text is not there; name one that holds strings or chats with --text-column. "
        "Its columns are chosen, rejected"
    )
    assert texts(path, "chosen") == ["A goat?\n\nA map."]


def test_folder_without_readable_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "cover.png").write_bytes(b"\x89PNG")
    (tmp_path / "folder.txt").mkdir()
    message = problem(tmp_path)
    assert message.startswith(f"--data {tmp_path}: no .txt, .jsonl, .csv, .parquet file")
    assert "name another" in message


def bad_files(folder: Path) -> list[str]:
    """Put three bad files and a good one into a folder; how their messages begin, in the order of names."""
    folder.mkdir(exist_ok=True)
    (folder / "a.txt").write_bytes(b"\xff")
    (folder / "b.txt").write_text("goat")
    (folder / "c.jsonl").write_text("{")
    (folder / "d.parquet").write_text("junk")
    return [f"--data {folder / name}: " for name in ("a.txt", "c.jsonl", "d.parquet")]


def test_all_bad_files_of_a_folder_are_reported(tmp_path: Path) -> None:
    expected = bad_files(tmp_path)
    found = problems(tmp_path)
    assert len(found) == len(expected)
    assert all(message.startswith(start) for message, start in zip(found, expected, strict=True))


def test_bad_files_of_both_parts_are_reported(tmp_path: Path) -> None:
    expected = bad_files(tmp_path / "train") + bad_files(tmp_path / "heldout")
    found = problems(tmp_path)
    assert len(found) == len(expected)
    assert all(message.startswith(start) for message, start in zip(found, expected, strict=True))


# Prompts


def test_prompts_are_taken_as_they_are_and_in_order(tmp_path: Path) -> None:
    five = ["The ferry", "A goat ", " Rain\n\n", "\ttab", "End"]
    assert prompts(jsonl(tmp_path / "p.jsonl", [{"text": text} for text in five])) == five
    assert prompts(parquet(tmp_path / "p.parquet", text=five)) == five
    with (tmp_path / "p.csv").open("w", newline="") as file:
        csv.writer(file).writerows([["text"], *([text] for text in five)])
    assert prompts(tmp_path / "p.csv") == five
    (tmp_path / "p.txt").write_bytes(b" one\n\ntwo \r\n")
    assert prompts(tmp_path / "p.txt") == [" one\n\ntwo "], "less the line end of the file"


def test_prompts_without_text_are_named(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", [{"text": "a"}, {"text": ""}, {"text": "b"}, {"n": 1}, {"text": " \n"}])
    with pytest.raises(UserError) as caught:
        read_prompts(path)
    assert str(caught.value).startswith(f"--prompts: no text to continue in {path}:2, {path}:4, {path}:5; ")
    (tmp_path / "p.csv").write_text("text\na\n\nb\n")
    with pytest.raises(UserError, match=r"p\.csv:2; fill in or remove"):
        read_prompts(tmp_path / "p.csv")


def test_prompts_in_a_column_of_that_name(tmp_path: Path) -> None:
    path = jsonl(tmp_path / "p.jsonl", [{"id": "a", "prompt": "goat", "text": "map"}])
    assert prompts(path) == ["goat"]
    assert prompts(path, "text") == ["map"]
    with pytest.raises(UserError, match=r"--prompts .* a column named prompt or text is not there; .* --text-column"):
        read_prompts(jsonl(tmp_path / "q.jsonl", [{"id": "a", "title": "goat"}]))


def test_unknown_builtin() -> None:
    for name in ("poems", "", "../models"):
        message = problem(f"builtin:{name}")
        assert message.startswith(f"--data builtin:{name}: no such embedded text")
        assert all(f"builtin:{known}" in message for known in TEXTS)
