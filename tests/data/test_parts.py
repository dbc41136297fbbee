"""The parts of a data set by the names of its files and folders."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hyperfit.data.reading.parts import part_of
from hyperfit.data.reading.sources import read_documents, read_prompts


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("train.jsonl", "train"),
        ("data/train-00000-of-00002.parquet", "train"),
        ("data/train-00000-of-00001-6ef3991c06080e14.parquet", "train"),
        ("Training/a.txt", "train"),
        ("stories_train.csv", "train"),
        ("validation-00000-of-00001.parquet", "heldout"),
        ("valid/a.txt", "heldout"),
        ("dev.csv", "heldout"),
        ("val_0.jsonl", "heldout"),
        ("TinyStories-valid.txt", "heldout"),
        ("heldout/train.txt", "heldout"),
        ("TEST.txt", "test"),
        ("eval.jsonl", "test"),
        ("train-station.txt", None),
        ("the last train.txt", None),
        ("developer.txt", None),
        ("a.txt", None),
    ],
)
def test_part_by_hand(path: str, part: str | None) -> None:
    assert part_of(Path(path)) == part


def sides(folder: Path) -> tuple[list[str], list[str]]:
    train, heldout = read_documents(str(folder))
    return [document.text for document in train], [document.text for document in heldout]


def test_a_cloned_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data").mkdir()
    for name, texts in {"train": ["goat", "map"], "validation": ["owl"], "test": ["clock"]}.items():
        pq.write_table(pa.table({"text": texts}), tmp_path / "data" / f"{name}-00000-of-00001.parquet")
    assert sides(tmp_path) == (["goat", "map"], ["owl"])
    said = f"{tmp_path}: files split by their names, 1 to train on, 1 held out, 1 test left alone\n"
    assert capsys.readouterr().err == said
    assert [prompt.text for prompt in read_prompts(tmp_path)] == ["clock", "goat", "map", "owl"], (
        "prompts are all there are"
    )


def test_parts_as_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "test.txt").write_text("goat")
    (tmp_path / "dev.txt").write_text("owl")
    (tmp_path / "notes.txt").write_text("aside")
    assert sides(tmp_path) == (["goat"], ["owl"])
    assert "1 to train on, 1 held out, 1 other left alone" in capsys.readouterr().err


def test_the_test_part_is_left_alone_where_nothing_is_held_out(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert sides(tmp_path) == (["train"], [])


def test_a_folder_of_texts_is_no_data_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("train", "train-2", "goat"):
        (tmp_path / f"{name}.txt").write_text(name)
    assert sides(tmp_path) == (["goat", "train-2", "train"], [])
    assert capsys.readouterr().err == ""


def test_texts_that_are_only_called_so_are_no_parts(tmp_path: Path) -> None:
    for name in ("the-ferry", "night-train", "the-driving-test", "harbour", "last-train", "goats"):
        (tmp_path / f"{name}.txt").write_text(name)
    train, heldout = sides(tmp_path)
    assert len(train) == 6
    assert heldout == []
