"""The study of pictures: a whole run on a tiny model, its page, what it answers of made-up numbers, what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.image.completion.written import as_text, picture_of
from hyperfit.image.palette import load_palette
from hyperfit.report.pages.studies import write_studies_page
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.questions import images
from hyperfit.studies.run import run_studies
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Trial
from tiny_images import SIDE, save_pictures, save_tiny_image, stripes

NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02, 0.0, -0.01, 0.01])


pytestmark = pytest.mark.usefixtures("short")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("gallery")
    save_tiny_image(folder / "model", num_hidden_layers=3)
    return str(folder / "model"), str(save_pictures(folder / "pictures", stripes(14)))


def settings_for(gallery: tuple[str, str], **changes: Any) -> StudySettings:
    return StudySettings(model=gallery[0], data=gallery[1], samples=8, seeds=2, most_contexts=3, **changes)


def test_the_study_runs_whole_and_is_found_again(gallery: tuple[str, str], tmp_path: Path) -> None:
    lines: list[str] = []
    found = run_studies(["images"], settings_for(gallery), tmp_path, notify=lines.append)["images"]
    assert lines[0] == "4 trainings, 0 of them done"
    (table,) = found["tables"]
    assert [row["name"] for row in table["rows"]] == [
        "base, greedy", "base, nucleus", "all parameters, greedy", "all parameters, nucleus", "late adapters, greedy",
        "late adapters, nucleus", "the pictures themselves",
    ]  # fmt: skip
    for row in table["rows"][:-1]:
        assert row["cells"]["row_repetition"]["n"] == 3
        assert row["cells"]["loss"]["value"] > 0
        assert row["cells"]["colour_distance"]["value"] is not None
        assert 0 <= row["cells"]["told_apart"]["low"] <= row["cells"]["told_apart"]["high"] <= 1
    assert table["rows"][-1]["cells"]["colour_distance"]["value"] is None
    assert table["rows"][-1]["cells"]["told_apart"]["value"] is None
    assert {one["recipe"]["method"] for one in found["trainings"]} == {"full", "late-lora"}
    assert found["settings"]["total"] == SIDE * SIDE + 1
    palette = load_palette(gallery[0])
    held_out = {one.tobytes() for one in palette.pixels(palette.tokens(stripes(14)))}
    for passage in found["passages"]:
        original = picture_of(passage["texts"]["the pictures themselves"])
        assert original is not None
        assert original.tobytes() in held_out
        completed = picture_of(passage["texts"]["base, greedy"])
        assert completed is not None
        assert np.array_equal(completed[:2], original[:2]), "the first quarter is given"
    html = write_studies_page(tmp_path).read_text()
    assert html.count('<img src="data:image/png;base64,') == 3 * 8
    assert "#ff0000 #" not in html
    lines.clear()
    assert run_studies(["images"], settings_for(gallery), tmp_path, notify=lines.append)["images"] == found
    assert lines[0] == "4 trainings, 4 of them done"


def test_what_is_for_texts_is_left_out_with_a_line(
    gallery: tuple[str, str], world: tuple[str, str], tmp_path: Path
) -> None:
    lines: list[str] = []
    run_studies(["all"], settings_for(gallery), tmp_path / "out", dry_run=True, notify=lines.append)
    told = [line for line in lines if "left out" in line]
    assert len(told) == 1
    assert told[0].startswith("main, curves, memorisation, ")
    assert told[0].endswith(f"are left out: for models of text, and --model {gallery[0]} is one of pictures")
    with pytest.raises(UserError, match=r"study images: for models of pictures, and --model .* is one of text"):
        run_studies(["images"], StudySettings(model=world[0], data=world[1]), tmp_path / "out")
    with pytest.raises(UserError) as refused:
        run_studies(["images"], settings_for(gallery, length=9, total=99, contexts=("a", "b")), tmp_path / "out")
    assert [one.split(":")[0] for one in refused.value.problems] == ["--length", "--total", "--contexts a b"]
    assert not (tmp_path / "out").exists()


def test_other_pictures_are_completed(gallery: tuple[str, str], tmp_path: Path, capsys: Any) -> None:
    new = str(save_pictures(tmp_path / "new", stripes(3, seed=9)))
    (Path(new) / "cut.png").write_bytes((Path(new) / "000.png").read_bytes()[:60])
    flags = ["--samples", "8", "--seeds", "1", "--contexts", new, "-o", str(tmp_path / "out"), "--json"]
    asked = ["study", "images", "--model", gallery[0], "--data", gallery[1], *flags]
    with pytest.raises(SystemExit):
        main(asked)
    assert "pass over it with --skip-unusable" in capsys.readouterr().err
    main([*asked, "--skip-unusable"])
    found = json.loads(capsys.readouterr().out)["images"]
    assert found["contexts"] == 3
    assert {Path(one["heading"]).name for one in found["passages"]} == {"000.png", "001.png", "002.png"}


# Made-up numbers


def model(repeated: float) -> Model:
    values = {"row_repetition": (repeated + NOISE).tolist(), "row_loop_share": [0.0] * 8, "told_apart": [1.0, 0.5] * 4}
    texts = ["".join(as_text(one, 0)) for one in stripes(8)]
    written = {way: {"values": values, "texts": texts} for way in images.DECODINGS}
    return Model({"loss": (2 + NOISE).tolist()}, written)


def results(base: float, full: float, late: float, real: float = 0.3) -> Results:
    labels = {images.ALL: model(full), images.LATE: model(late)}
    trained: dict[str, list[Trained[Trial]]] = {label: [] for label in labels}
    models = {label: [one] for label, one in labels.items()}
    return Results(StudySettings(), model(base), model(real), trained, models, ["a"] * 8, list("abcdefgh"))


@pytest.mark.parametrize(
    ("base", "full", "late", "said"),
    [(0.9, 0.4, 0.5, "Yes"), (0.9, 0.95, 0.9, "No"), (0.9, 0.4, 0.95, "Partly"), (0.25, 0.1, 0.1, "Not shown")],
)
def test_yes_where_both_repeat_less_than_a_base_that_repeats(base: float, full: float, late: float, said: str) -> None:
    found = images.tell(results(base, full, late))
    assert found.answer == said
    assert f"{base:.3f}".removeprefix("0") in found.sentence
    assert found.sentence.startswith("The base model's greedy completions are not shown") == (said == "Not shown")
    assert "from the pictures themselves in 75 [56, 94] % (base)" in found.sentence
    assert len(found.passages) == 8


def test_without_a_training_nothing_is_shown() -> None:
    empty = replace(results(0.9, 0.4, 0.4), models={images.ALL: [], images.LATE: []})
    assert images.tell(empty).answer == "Not shown"
