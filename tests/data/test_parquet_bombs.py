"""Files of some kilobytes that stand for gigabytes: refused before these are in memory."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from hyperfit.data.reading import parquet
from hyperfit.data.reading.sources import read_documents
from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import read_pictures

MEGABYTE = 2**20
ROWS = 4000
ONE_DICTIONARY: dict[str, Any] = {
    "dictionary_pagesize_limit": 2**30,
    "compression": "zstd",
    "store_schema": False,
}
"""Writes a value that stands in many rows once."""
SHARED: dict[str, Any] = {
    "use_dictionary": False,
    "column_encoding": {"text": "DELTA_BYTE_ARRAY"},
    "compression": "zstd",
}
"""Writes of a value only what the one before does not have."""


POOLS: list[Any] = []
"""They have to be there for as long as what was taken from them."""


@contextmanager
def taking_less_than(most: int) -> Iterator[None]:
    """Whether Arrow takes less memory than that while the block runs."""
    whole = pa.default_memory_pool()
    POOLS.append(pa.proxy_memory_pool(whole))
    pa.set_memory_pool(POOLS[-1])
    yield
    pa.set_memory_pool(whole)
    assert POOLS[-1].max_memory() < most


def write(path: Path, columns: dict[str, Any], **settings: Any) -> Path:
    pyarrow.parquet.write_table(pa.table(columns), path, **settings)
    return path


def bomb(path: Path, value: Any, **settings: Any) -> Path:
    """A file of ROWS rows with the same value."""
    number = pa.array(np.zeros(ROWS, np.int32))
    return write(path, {"text": pa.DictionaryArray.from_arrays(number, pa.array([value]))}, **settings)


def problem(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_documents(str(path), notify=lambda line: None)
    (told,) = caught.value.problems
    return told


def texts(path: Path) -> list[str]:
    return [document.text for document in read_documents(str(path), notify=lambda line: None)[0]]


def test_a_text_that_many_rows_share_is_counted_as_often_as_it_stands_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "MOST_BYTES", ROWS * MEGABYTE)
    path = bomb(tmp_path / "a.parquet", "z" * (MEGABYTE + 10_000), **ONE_DICTIONARY)
    assert path.stat().st_size < 20_000
    with taking_less_than(20 * MEGABYTE):
        assert problem(path) == (
            f"--data {path}: unpacks to more than 3.91 GiB, or may do so; give a part of it, in a file of its own"
        )
    assert texts(bomb(tmp_path / "b.parquet", "goat", **ONE_DICTIONARY)) == ["goat"] * ROWS


def test_so_is_what_is_said_in_chats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "MOST_BYTES", ROWS * MEGABYTE)
    said = pa.DictionaryArray.from_arrays(pa.array(np.zeros(ROWS, np.int32)), pa.array(["z" * (MEGABYTE + 10_000)]))
    role = pa.array(["user"] * ROWS)
    messages = pa.StructArray.from_arrays([role, said], ["role", "content"])
    of_one_row = pa.ListArray.from_arrays(pa.array([0, ROWS], pa.int32()), messages)
    path = write(tmp_path / "a.parquet", {"messages": of_one_row}, **ONE_DICTIONARY)
    assert path.stat().st_size < 30_000
    with taking_less_than(20 * MEGABYTE):
        assert "unpacks to more than 3.91 GiB" in problem(path)


def test_texts_that_begin_alike_are_refused_where_they_may_be_too_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    with pyarrow.parquet.ParquetWriter(path, pa.schema([("text", pa.string())]), **SHARED) as writer:
        for _ in range(2):
            writer.write_table(pa.table({"text": ["z" * 100_000] * 500}))
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(parquet, "MOST_BYTES", 90_000_000)
    monkeypatch.setattr(parquet, "AT_ONCE", MEGABYTE)
    with taking_less_than(4 * MEGABYTE):
        assert "unpacks to more than 0.0838 GiB, or may do so" in problem(path)
    monkeypatch.setattr(parquet, "MOST_BYTES", 110_000_000)
    assert len(texts(path)) == 1000
    assert texts(write(tmp_path / "b.parquet", {"text": ["goat", "goats"]}, **SHARED)) == ["goat", "goats"]


def test_two_thousand_ordinary_texts_that_share_their_beginnings_are_read(tmp_path: Path) -> None:
    """As other programs than pyarrow write them: 10 MB, though by the footer each might be as long as all."""
    rows = [f"{number:06d} " + "A goat crossed the map. " * 200 for number in range(2000)]
    assert texts(write(tmp_path / "a.parquet", {"text": rows}, **SHARED)) == rows


def test_long_texts_are_counted_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.parquet", {"text": ["z" * 5 * MEGABYTE] * 4}, use_dictionary=False, compression="zstd")
    with taking_less_than(MEGABYTE):
        monkeypatch.setattr(parquet, "MOST_BYTES", 19 * MEGABYTE)
        assert "unpacks to more than 0.0186 GiB" in problem(path)
    monkeypatch.setattr(parquet, "MOST_BYTES", 21 * MEGABYTE)
    assert len(texts(path)) == 4


@pytest.mark.parametrize("column", [{"text": pa.nulls(10**6, pa.string())}, {"text": pa.array(["a"] * 10**6)}])
def test_rows_of_nothing_are_counted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, column: Any) -> None:
    path = write(tmp_path / "a.parquet", column)
    monkeypatch.setattr(parquet, "MOST_BYTES", 10**8)
    assert "unpacks to more than 0.0931 GiB" in problem(path)


def test_other_columns_do_not_count_and_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = pa.array([bytes(10 * MEGABYTE)])
    path = write(tmp_path / "a.parquet", {"text": ["goat"], "other": other})
    monkeypatch.setattr(parquet, "MOST_BYTES", MEGABYTE)
    with taking_less_than(MEGABYTE):
        assert texts(path) == ["goat"]


WAYS: list[dict[str, Any]] = [
    {"row_group_size": 3},
    {"use_dictionary": False},
    {"compression": "none", "data_page_version": "2.0"},
    {"dictionary_pagesize_limit": 20},
]
DELTAS: list[dict[str, Any]] = [
    {"use_dictionary": False, "column_encoding": {"text": "DELTA_LENGTH_BYTE_ARRAY"}},
    SHARED,
]


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        *((kind, way) for kind in (pa.string(), pa.large_string()) for way in (*WAYS, *DELTAS)),
        *((pa.dictionary(pa.int32(), pa.string()), way) for way in WAYS),
    ],
)
def test_however_it_is_written_it_is_read(tmp_path: Path, kind: Any, settings: dict[str, Any]) -> None:
    wanted = ["one", "one", "two", None, "犬", "", "a longer text", "one", "b"]
    path = write(tmp_path / "a.parquet", {"text": pa.array(wanted, kind), "text.more": [1] * 9}, **settings)
    assert texts(path) == [text for text in wanted if text]


@pytest.mark.parametrize("lists", [pa.list_, pa.large_list])
@pytest.mark.parametrize("settings", [{"row_group_size": 1}, {"use_dictionary": False}, {}])
def test_so_are_chats(tmp_path: Path, lists: Any, settings: dict[str, Any]) -> None:
    chats = [[{"role": "user", "content": "A goat?"}, {"role": "assistant", "content": "A map."}], [], None]
    kind = lists(pa.struct([("role", pa.string()), ("content", pa.string())]))
    path = write(tmp_path / "a.parquet", {"messages": pa.array(chats, kind)}, **settings)
    assert texts(path) == ["A goat?\n\nA map."]


def picture() -> bytes:
    """A PNG file of 8 by 8 pixels, and a megabyte behind it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(file, "PNG")
    return file.getvalue() + bytes(MEGABYTE)


def pictures(path: Path, count: int) -> Path:
    """A file of so many rows with the same picture, written once."""
    number = pa.array(np.zeros(count, np.int32))
    data = pa.DictionaryArray.from_arrays(number, pa.array([picture()]))
    name = pa.array(["a"] * count)
    image = pa.StructArray.from_arrays([data, name], ["bytes", "path"])
    return write(path, {"image": image}, **ONE_DICTIONARY)


def test_of_a_picture_that_many_rows_share_few_are_unpacked_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = pictures(tmp_path / "a.parquet", 200)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr("hyperfit.image.reading.tables.AT_ONCE", 8 * MEGABYTE)
    with taking_less_than(40 * MEGABYTE):
        assert len(read_pictures(str(path), Frame(8, 8)).train) == 200


def test_rows_are_refused_whose_pictures_would_be_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = pictures(tmp_path / "a.parquet", 200)
    monkeypatch.setattr(parquet, "MOST_BYTES", 200 * 3 * 8 * 8 - 1)
    with pytest.raises(UserError, match="unpacks to more than"):
        read_pictures(str(path), Frame(8, 8))
    assert len(read_pictures(str(path), Frame(8, 7)).train) == 200
