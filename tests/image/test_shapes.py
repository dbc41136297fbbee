"""The pictures that are drawn here: always the same, all different, of every kind, symmetric where they should be."""

from pathlib import Path

import numpy as np
import pytest

from hyperfit.errors import UserError
from hyperfit.image.reading.decode import Frame
from hyperfit.image.reading.sources import NUMBERS, read_pictures
from hyperfit.image.shapes import kept
from hyperfit.image.shapes.canvas import Colours, ellipse, laid, shade
from hyperfit.image.shapes.figures import beast, face, flower
from hyperfit.image.shapes.grounds import GROUNDS
from hyperfit.image.shapes.kept import shapes
from hyperfit.image.shapes.scenes import picture, pictures


def test_a_number_is_a_picture_always_the_same() -> None:
    some = pictures(range(60), 16)
    assert some.shape == (60, 16, 16, 3)
    assert some.dtype == np.uint8
    assert np.array_equal(picture(59, 16), some[59])
    assert len({one.tobytes() for one in some}) == 60


def test_pictures_are_worth_completing() -> None:
    some = pictures(range(200), 16)
    upper, lower = some[:, :4].reshape(200, -1, 3), some[:, 4:].reshape(200, -1, 3)
    colours = [len(np.unique(one.reshape(-1, 3), axis=0)) for one in some]
    assert np.mean(colours) > 30
    assert np.mean(np.array(colours) == 1) < 0.02
    news = [len({*map(tuple, low)} - {*map(tuple, up)}) for up, low in zip(upper, lower, strict=True)]
    assert np.mean(np.array(news) > 5) > 0.7, "most of them go on with colours that their first quarter does not have"


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_picture_is_the_same_in_other_sizes_but_for_detail(size: int) -> None:
    """Blocks of a finer drawing have about the colour of the pixel they are in a coarser one."""
    apart = []
    for number in range(30):
        fine = picture(number, 2 * size).reshape(size, 2, size, 2, 3).mean(axis=(1, 3))
        apart.append(np.abs(fine - picture(number, size)).mean())
    assert np.median(apart) < 12


@pytest.mark.parametrize("draw", [beast, flower, face])
def test_symmetric_figures_are_their_own_mirror_image(draw: object) -> None:
    assert callable(draw)
    for seed in range(12):
        random = np.random.default_rng(seed)
        made = draw(random, Colours.drawn(random), np.ones((48, 48, 3)))
        assert np.mean(np.abs(made - made[:, ::-1]) > 1e-9) < 0.05, "but for the edges of polygons"
        assert np.ptp(made) > 0.3


def test_every_ground_fills_the_picture() -> None:
    for seed, ground in enumerate(GROUNDS):
        random = np.random.default_rng(seed)
        made = ground(random, Colours.drawn(random), 24)
        assert made.shape == (24, 24, 3)
        assert made.min() >= 0
        assert made.max() <= 1


def test_paint_on_a_canvas() -> None:
    black, white = np.zeros(3), np.ones(3)
    assert shade(4, black, white, 0.0)[0, :, 0].tolist() == [0.125, 0.375, 0.625, 0.875]
    mask = ellipse(4, (0.5, 0.5), 0.3, 0.3)
    assert mask.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]
    assert laid(np.zeros((4, 4, 3)), white, mask).sum() == 12


def test_they_are_drawn_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kept until the drawing changes, drawn anew where what is kept is damaged, or cannot be kept."""
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "cache"))
    expected = pictures(range(3, 7), 8)
    assert np.array_equal(shapes(range(3, 7), 8), expected)
    (file,) = (tmp_path / "cache").iterdir()
    np.save(file, 255 - expected)
    assert np.array_equal(shapes(range(3, 7), 8), 255 - expected), "read, not drawn"
    monkeypatch.setattr(kept, "drawing", lambda: "another")
    assert np.array_equal(shapes(range(3, 7), 8), expected)
    monkeypatch.undo()
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "cache"))
    for damage in (b"", b"nothing", file.read_bytes()[:-5]):
        file.write_bytes(damage)
        assert np.array_equal(shapes(range(3, 7), 8), expected)
    np.save(file, expected[:2])
    assert np.array_equal(shapes(range(3, 7), 8), expected)
    (tmp_path / "file").touch()
    monkeypatch.setenv("HYPERFIT_CACHE", str(tmp_path / "file" / "cache"))
    assert np.array_equal(shapes(range(3, 7), 8), expected)


def test_the_source_of_that_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [len(numbers) for numbers in NUMBERS.values()] == [2000, 200]
    assert not set(NUMBERS["train"]) & set(NUMBERS["heldout"])
    monkeypatch.setitem(NUMBERS, "train", range(1, 5))
    monkeypatch.setitem(NUMBERS, "heldout", range(5, 7))
    found = read_pictures("builtin:shapes", Frame(12, 16))
    assert found.train.pixels.shape == (4, 12, 16, 3)
    assert np.array_equal(found.train.pixels[2], picture(3, 16)[2:14])
    assert found.heldout.origins == ("builtin:shapes:5", "builtin:shapes:6")
    assert found.notes == ()
    with pytest.raises(UserError, match="--data builtin:fiction: no such embedded pictures; give builtin:shapes"):
        read_pictures("builtin:fiction", Frame(16, 16))
