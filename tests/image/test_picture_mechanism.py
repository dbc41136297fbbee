"""``hyperfit mechanism`` of a run on pictures: every study by its token ids, and what belongs to texts left out."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from browser import chromium, faults
from hyperfit.cli import main
from hyperfit.image.palette import load_palette
from hyperfit.mechanism.layers.capture import captured
from hyperfit.mechanism.pair.inputs import check_inputs, model_pair
from hyperfit.mechanism.pair.pair import load_pair
from hyperfit.mechanism.pair.predictions import pair_predictions
from hyperfit.mechanism.settings import STUDIES, MechanismSettings
from hyperfit.models.loading import load_model
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.train import train
from small_runs import quiet
from tiny_images import save_pictures, save_tiny_image, stripes

CPU = torch.device("cpu")
SIDE = 12
SHORT = (
    "--intervention-contexts 2 --alphas 0 0.5 1 --promoted 5 --scales 0 1 --removed 4 --pictures 1 --device cpu".split()
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that the whole command has been through."""
    folder = tmp_path_factory.mktemp("run")
    save_tiny_image(folder / "model", side=SIDE, num_hidden_layers=3)
    recipe = Recipe(
        model=str(folder / "model"),
        data=str(save_pictures(folder / "pictures", stripes(12, SIDE))),
        method="late-full",
        late_blocks=1,
        rank=4,
        heldout=0.25,
        batch_size=4,
        epochs=2,
        lr=5e-3,
        probe_every=0,
        greedy_every=0,
        probe_texts=1,
        precision="fp32",
        device="cpu",
        stop_loss=None,
    )
    path = train(recipe, folder / "run", notify=quiet).path
    main(["mechanism", str(path), *SHORT, "--studies", *STUDIES, "--depths", "3"])
    return path


def held(run: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((run / "mechanism.json").read_text())
    return found


def test_every_study_has_numbers(run: Path) -> None:
    found = held(run)["studies"]
    assert tuple(found) == STUDIES
    for name, study in found.items():
        assert study["made_on"] == {"n": 3, "context": 37, "total": 145, "picture": [12, 12]}
        assert len(re.findall(r"\d", study["sentence"])) >= 3, name
    assert found["temperature"]["identical"] is True
    assert found["ranks"]["free_running"]["positions"] == 3 * 108
    assert found["ranks"]["free_running"]["classes"] == {}, "colours are no words"
    assert found["geometry"]["all"]["tokens"] == 3 * 144
    human = found["temperature"]["diversity"]["human"]
    assert human["ttr"]["value"] == pytest.approx(2 / 96), "two colours in the last 96 pixels"
    assert human["word_share"]["value"] is None


def test_the_page_shows_colours_and_says_that_it_is_of_pictures(run: Path) -> None:
    html = (run / "mechanism.html").read_text()
    assert "3 pictures of 12 by 12 pixels, 145 tokens; models complete the first 37" in html
    assert 'class="pixel" role="img" aria-label="#' in html
    assert "word classes" not in html
    assert "Beside the paper" not in html


def test_colours_are_to_be_seen_in_the_page(run: Path) -> None:
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.goto((run / "mechanism.html").as_uri())
        assert faults(page) == []
        cell = page.locator("#lens td .pixel").first
        assert cell.bounding_box()["width"] > 8
        red, green, blue = (int(cell.get_attribute("title")[place : place + 2], 16) for place in (1, 3, 5))
        assert cell.evaluate("one => getComputedStyle(one).backgroundColor") == f"rgb({red}, {green}, {blue})"
        page.close()


def test_the_last_pixel_is_predicted_though_no_position_reads_it(run: Path) -> None:
    """A picture has one token more than the model has positions; as transformers computes it."""
    palette = load_palette(str(run.parent / "model"))
    rows = palette.tokens(stripes(2, SIDE, seed=7))
    pair = load_pair(str(run.parent / "model"), str(run), device=CPU)
    chunks = list(pair_predictions(pair, texts=rows, skip=37))
    tuned = torch.cat([chunk.logits[1] for chunk in chunks]).view(2, 108, -1)
    with torch.no_grad():
        want = load_model(str(run / "model"), device=CPU, dtype=torch.float32)(input_ids=rows[:, :-1]).logits
    assert torch.allclose(tuned, want[:, 36:], atol=1e-5)
    assert torch.cat([chunk.place for chunk in chunks]).max() == 144
    with captured(pair, rows, skip=37) as states:
        assert states.positions == 108
        assert next(states.side("base", "block 0")).shape[:2] == (2, 108)


def test_what_has_no_effect_is_said(run: Path, world: tuple[str, str], tmp_path: Path, capsys: Any) -> None:
    def fails(*arguments: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["mechanism", *arguments, "--device", "cpu"])
        assert left.value.code == 2
        return str(capsys.readouterr().err)

    said = fails(str(run), "--context", "9", "--total", "200")
    assert "--context: has no effect on a model of pictures" in said
    assert "--total: has no effect on a model of pictures" in said
    assert "leaves fewer than the 96 over which" in fails(str(run), "--share", "0.5")
    assert "--contexts a b: name one source of pictures" in fails(str(run), "--contexts", "a", "b")
    assert "--contexts nowhere" in fails(str(run), "--contexts", "nowhere")
    elsewhere = ["--base", world[0], "--tuned", world[0], "-o", str(tmp_path / "out"), "--contexts", world[1]]
    said = fails(*elsewhere, "--share", "0.5", "--skip-unusable", "--image-column", "image")
    for flag in ("--share", "--skip-unusable", "--image-column"):
        assert f"{flag}: has no effect on a model of text" in said
    assert "say how --contexts are read; give these, too" in fails(str(run), "--skip-unusable")


def test_models_trained_elsewhere_and_other_pictures(run: Path, tmp_path: Path) -> None:
    base, new = str(run.parent / "model"), str(save_pictures(tmp_path / "new", stripes(4, SIDE, seed=9)))
    pair = model_pair(base=base, tuned=str(run / "model"), output=tmp_path / "out")
    of = check_inputs(pair, MechanismSettings(contexts=(new,), device="cpu"))
    assert of.texts.shape == (4, 145)
    assert of.training is None
    of = check_inputs(model_pair(run), MechanismSettings(contexts=(new,), most_contexts=2, share=0.2, device="cpu"))
    assert of.texts.shape == (2, 145)
    assert of.settings.context == 30
    assert of.training is not None
    assert len(of.training) == 9
    (tmp_path / "new" / "cut.png").write_bytes((tmp_path / "new" / "000.png").read_bytes()[:60])
    of = check_inputs(pair, MechanismSettings(contexts=(new,), skip_unusable=True, device="cpu"))
    assert of.texts.shape == (4, 145), "without the one that is cut off"
