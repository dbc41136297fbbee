"""Pictures of files, folders, arrays and tables, and one clear message for everything that cannot be read."""

import io
import zipfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import Source, read_pictures

FRAME = Frame(4, 6)


def pixels_of(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 6, 3), dtype=np.uint8)


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def write_folder(folder: Path, pixels: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(pixels):
        (folder / f"{number:03}.png").write_bytes(png(one))
    return folder


def read(source: Path | str, **settings: Any) -> Source:
    return read_pictures(str(source), FRAME, **settings)


def problems(source: Path | str, **settings: Any) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        read(source, **settings)
    return caught.value.problems


def test_a_file_and_a_folder(tmp_path: Path) -> None:
    pixels = pixels_of(3)
    folder = write_folder(tmp_path / "a", pixels)
    found = read(folder)
    assert np.array_equal(found.train.pixels, pixels)
    assert found.train.origins == tuple(str(folder / f"{number:03}.png") for number in range(3))
    assert (len(found.heldout), found.notes) == (0, ())
    assert np.array_equal(read(folder / "001.png").train.pixels, pixels[1:2])


def test_folders_named_as_parts_are_taken_so_and_others_in_order(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("validation", 2), ("test", 1)):
        write_folder(tmp_path / part / "cats", pixels_of(count, count))
    found = read(tmp_path)
    assert np.array_equal(found.train.pixels, pixels_of(3, 3))
    assert np.array_equal(found.heldout.pixels, pixels_of(2, 2))
    assert found.notes == (f"{tmp_path}: files split by their names, 3 to train on, 2 held out, 1 left alone",)
    assert len(read(tmp_path / "test").train) == 1


def test_other_files_are_told_of_and_hidden_ones_are_not_read(tmp_path: Path) -> None:
    write_folder(tmp_path, pixels_of(1))
    (tmp_path / ".hidden.png").write_bytes(b"no picture")
    (tmp_path / "labels.csv").write_text("a")
    found = read(tmp_path)
    assert len(found.train) == 1
    assert found.notes == (f"{tmp_path}: files skipped: 1 .csv; what can be read is .png, .jpg, .jpeg, .npz, .parquet",)


def test_what_cannot_be_used_is_named_and_passed_over_only_if_asked(tmp_path: Path) -> None:
    write_folder(tmp_path, pixels_of(14))
    (tmp_path / "004.png").write_bytes(png(pixels_of(1)[0])[:60])
    (tmp_path / "011.png").write_bytes(b"")
    (told,) = problems(tmp_path)
    assert told.startswith(
        f"--data {tmp_path}: 2 pictures cannot be used: {tmp_path / '004.png'} is cut off or damaged"
    )
    assert (
        f"; {tmp_path / '011.png'} is empty; mend or remove what is named, or pass over it with --skip-unusable" in told
    )
    found = read(tmp_path, skip=True)
    assert len(found.train) == 12
    assert [note.split(": ")[1] for note in found.notes] == ["passed over", "passed over"]
    assert f"{tmp_path / '011.png'} is empty" in found.notes[1]
    for number in range(14):
        (tmp_path / f"{number:03}.png").write_bytes(b"")
    assert "14 pictures cannot be used" in problems(tmp_path)[0]
    assert "009.png is empty, and 4 more; mend" in problems(tmp_path)[0]


def test_files_that_cannot_be_opened_are_named_with_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "a", pixels_of(2))
    (folder / "gone.png").symlink_to("nowhere.png")
    (folder / "locked.png").write_bytes(png(pixels_of(1)[0]))
    (folder / "none.png").write_bytes(b"")
    read_bytes = Path.read_bytes

    def locked(path: Path) -> bytes:  # a real lock would not hold where tests run as root
        if path.name == "locked.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", locked)
    reasons = (
        f"{folder}/gone.png cannot be read (No such file or directory)",
        f"{folder}/locked.png cannot be read (Permission denied)",
        f"{folder}/none.png is empty",
    )
    (problem,) = problems(folder)
    assert problem.startswith(f"--data {folder}: 3 pictures cannot be used: {'; '.join(reasons)}; mend or remove")
    found = read(folder, skip=True)
    assert np.array_equal(found.train.pixels, pixels_of(2))
    assert found.notes == tuple(f"{folder}: passed over: {reason}" for reason in reasons)


def test_changes_are_told_of_once(tmp_path: Path) -> None:
    write_folder(tmp_path, pixels_of(2))
    Image.new("L", (12, 12), 7).save(tmp_path / "grey.png")
    assert read(tmp_path).notes == (
        f"{tmp_path}: of 3 pictures 1 cut to the model's proportions, in the middle; 1 grey; 1 made smaller",
    )


@pytest.mark.parametrize("name", ["images", "anything", "x"])
def test_an_array_of_pictures(tmp_path: Path, name: str) -> None:
    pixels = pixels_of(3)
    np.savez(tmp_path / "a.npz", **{name: pixels, "labels": np.arange(3, dtype=np.uint8)})  # type: ignore[arg-type]
    found = read(tmp_path / "a.npz")
    assert np.array_equal(found.train.pixels, pixels)
    assert found.train.origins == tuple(f"{tmp_path / 'a.npz'}:{row}" for row in (1, 2, 3))


def test_arrays_of_other_shapes(tmp_path: Path) -> None:
    pixels = pixels_of(3)
    for name, array in {
        "before": pixels.transpose(0, 3, 1, 2),
        "clear": np.concatenate([pixels, np.full((3, 4, 6, 1), 255, np.uint8)], axis=3),
        "deep": pixels.astype(np.uint16) * 257,
    }.items():
        np.savez_compressed(tmp_path / f"{name}.npz", array)
        assert np.array_equal(read(tmp_path / f"{name}.npz").train.pixels, pixels), name
    np.savez(tmp_path / "grey.npz", pixels[..., 0])
    assert np.array_equal(read(tmp_path / "grey.npz").train.pixels, pixels[..., :1].repeat(3, axis=3))
    np.savez(tmp_path / "small.npz", pixels[:, :2])
    assert "small.npz, row 1 is 6 by 2 pixels, smaller than the model's 6 by 4; " in problems(tmp_path / "small.npz")[0]


def test_arrays_named_as_parts(tmp_path: Path) -> None:
    file = tmp_path / "cifar.npz"
    np.savez(file, x_train=pixels_of(3), x_val=pixels_of(2, 1), x_test=pixels_of(4, 2), y_train=np.arange(3))
    found = read(file)
    assert np.array_equal(found.train.pixels, pixels_of(3))
    assert np.array_equal(found.heldout.pixels, pixels_of(2, 1))
    assert np.array_equal(read(file, column="x_test").train.pixels, pixels_of(4, 2))


def test_an_archive_that_claims_too_much_is_not_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("images.npy", b"small")
        archive.filelist[0].file_size = 20 * 2**30
    assert problems(file) == (f"--data {file}: unpacks to 20 GiB, more than 16; give fewer pictures",)


def test_arrays_packed_in_another_way_are_not_unpacked(tmp_path: Path) -> None:
    file, kept = tmp_path / "a.npz", io.BytesIO()
    np.save(kept, pixels_of(2))
    for method in (zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        with zipfile.ZipFile(file, "w", method) as archive:
            archive.writestr("images.npy", kept.getvalue())
        told = "cannot be read as .npz (images.npy in it is packed in a way that such files are not)"
        assert told in problems(file)[0]


def test_pictures_in_arrays_may_be_as_large_as_in_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a.npz"
    np.savez_compressed(file, np.zeros((2, 1500, 1000, 3), np.uint8))
    assert len(read(file).train) == 2
    monkeypatch.setattr("hyperfit.image.reading.arrays.MOST_PIXELS", 1_499_999)
    (told,) = problems(file)
    assert f"{file}, row 1 has 1000 by 1500 pixels, more than 1 million; {file}, row 2 has 1000 by" in told


def test_arrays_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, one=pixels_of(1), two=pixels_of(1))
    assert "which of its arrays holds the pictures cannot be told" in problems(file)[0]
    assert problems(file)[0].endswith("Its arrays are one, two")
    assert problems(file, column="three")[0].startswith(f"--image-column three: in {file} this array holds no pictures")
    np.savez(file, pixels_of(1) / 255)
    assert "uint8" in problems(file)[0]
    np.savez(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert "cannot be read as .npz (Object arrays" in problems(file)[0]
    file.write_bytes(b"PK but no archive")
    assert "cannot be read as .npz (File is not a zip file)" in problems(file)[0]


@pytest.mark.parametrize("form", ["bytes", "record"])
def test_a_column_of_a_table(tmp_path: Path, form: str) -> None:
    pixels = pixels_of(3)
    cells: list[Any] = [png(one) for one in pixels]
    if form == "record":
        cells = [{"bytes": cell, "path": "a.png"} for cell in cells]
    file = tmp_path / "a.parquet"
    pq.write_table(pa.table({"img": cells, "label": [1, 2, 3]}), file)
    assert np.array_equal(read(file).train.pixels, pixels)
    assert read(file).train.origins[2] == f"{file}:3"
    pq.write_table(pa.table({"img": [*cells, None, cells[0]], "label": range(5)}), file)
    assert f"1 picture cannot be used: {file}, row 4 holds no picture; " in problems(file)[0]
    assert read(file, skip=True).train.origins[3] == f"{file}:5"


def test_columns_that_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    cells = [png(one) for one in pixels_of(2)]
    pq.write_table(pa.table({"one": cells, "two": cells, "label": [1, 2]}), file)
    assert "several columns hold pictures (one, two); name one" in problems(file)[0]
    assert len(read(file, column="two").train) == 2
    assert "this column holds no pictures" in problems(file, column="label")[0]
    assert "this column is not there" in problems(file, column="three")[0]
    pq.write_table(pa.table({"text": ["a"]}), file)
    assert "none of its columns holds pictures" in problems(file)[0]
    file.write_bytes(b"nothing")
    assert "cannot be read as .parquet" in problems(file)[0]


def test_a_data_set_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = pixels_of(3)
    images = [{"bytes": png(one), "path": None} for one in pixels]
    images[1]["bytes"] = b"broken"
    data = datasets.Dataset.from_dict(
        {"image": images, "label": [0, 1, 2]},
        features=datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")}),
    )
    import hyperfit.image.reading.tables as module

    monkeypatch.setattr(module, "load_hub", lambda source: data)
    assert problems("some/cats")[0].startswith(
        "--data some/cats: 1 picture cannot be used: some/cats, row 2 is no picture that can be read; "
    )
    found = read("some/cats", skip=True)
    assert np.array_equal(found.train.pixels, pixels[[0, 2]])
    assert found.train.origins == ("some/cats:1", "some/cats:3")


def test_what_is_not_there(tmp_path: Path) -> None:
    assert "no such file or folder" in problems(tmp_path / "none")[0]
    assert "no .png, .jpg, .jpeg, .npz, .parquet file in this folder" in problems(tmp_path)[0]
    (tmp_path / "a.txt").write_text("words")
    assert "cannot read .txt; give .png" in problems(tmp_path / "a.txt")[0]
