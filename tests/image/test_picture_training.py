"""Models of pictures are trained on the same path as those of text: the same recipe, cache, probes and run folder."""

import base64
import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.image.palette import load_palette
from hyperfit.image.sequences import build_picture_corpus
from hyperfit.metrics.predictions.predict import predict
from hyperfit.models.loading import load_model
from hyperfit.models.structure.layout import layout_of
from hyperfit.recipes.recipe import Recipe
from hyperfit.runs.directory import RunDir
from hyperfit.runs.result import load_any
from hyperfit.training.loss import SequenceLoss
from hyperfit.training.train import train
from small_runs import assert_same, events, quiet, weights
from tiny_images import save_pictures, save_tiny_image, stripes
from tiny_models import save_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A tiny random ImageGPT and eighteen pictures of stripes."""
    folder = tmp_path_factory.mktemp("gallery")
    save_tiny_image(folder / "model", n_layer=3)
    return str(folder / "model"), str(save_pictures(folder / "pictures", stripes(18)))


def recipe_of(gallery: tuple[str, str], **changes: Any) -> Recipe:
    settings: dict[str, Any] = {
        "model": gallery[0],
        "data": gallery[1],
        "batch_size": 4,
        "epochs": 2,
        "lr": 1e-3,
        "late_blocks": 1,
        "rank": 4,
        "probe_texts": 2,
        "heldout": 0.2,
        "stop_loss": None,
        "precision": "fp32",
        "device": "cpu",
    }
    return Recipe(**{**settings, **changes})


def test_the_parts_of_the_family_are_found(gallery: tuple[str, str]) -> None:
    layout = layout_of(load_model(gallery[0], device=CPU, dtype=torch.float32))
    assert (layout.blocks, layout.tail, layout.head) == ("transformer.h", ("transformer.ln_f",), "lm_head")
    assert layout.embedding == "transformer.wte"
    assert layout.vocabulary == 27, "the start token is read and never written"


def test_every_pixel_is_predicted_from_those_before_it(gallery: tuple[str, str]) -> None:
    """As transformers computes it from the start token and all pixels but the last."""
    model, palette = load_model(gallery[0], device=CPU, dtype=torch.float32), load_palette(gallery[0])
    rows = palette.tokens(stripes(3))
    with torch.no_grad():
        logits = model(input_ids=rows[:, :-1]).logits
    want = F.cross_entropy(logits.flatten(0, 1), rows[:, 1:].flatten(), reduction="sum")
    total, _ = SequenceLoss(model, lambda: torch.autocast("cpu", enabled=False))(rows)
    assert total.item() == pytest.approx(want.item(), rel=1e-5)
    assert np.nansum(predict(model, rows, batch_size=2).loss) == pytest.approx(want.item(), rel=1e-5)


@pytest.mark.parametrize("method", ["late-lora", "late-full"])
def test_runs_with_without_and_streaming_end_the_same(gallery: tuple[str, str], tmp_path: Path, method: str) -> None:
    recipe = recipe_of(gallery, method=method)
    with_it = train(recipe, tmp_path / "with", prefix_cache="required", notify=quiet)
    without = train(recipe, tmp_path / "without", prefix_cache="off", notify=quiet)
    streamed = train(recipe, tmp_path / "streamed", streaming=True, notify=quiet)
    assert_same(with_it.path, without.path)
    assert_same(with_it.path, streamed.path)
    assert events(with_it.path) == events(without.path)


@pytest.mark.parametrize("method", ["late-lora", "lora", "full"])
def test_a_run_is_that_of_any_model(gallery: tuple[str, str], tmp_path: Path, method: str) -> None:
    said: list[str] = []
    recipe = recipe_of(gallery, method=method, epochs=6, lr=1e-2)
    run = train(recipe, tmp_path / "run", notify=said.append)
    assert any(
        "14 of 14 training sequences of 65 tokens, 4 held out for validation; 18 pictures" in line for line in said
    )
    epochs = run.events("epoch")
    assert epochs[-1]["train_loss"] < 0.7 * epochs[1]["train_loss"]
    assert epochs[0]["val_loss"] == pytest.approx(np.log(27), abs=3)
    assert all(0 < one["ttr"] <= 27 / 48 for one in epochs), "colours of a completion, of 48 pixels"
    assert epochs[0]["human_ttr"] == pytest.approx(2 / 48, abs=1e-6), "pictures of two colours"
    assert run.recipe.length == 65
    model = load_any(str(run.path), device=CPU)
    ids = load_palette(gallery[0]).tokens(stripes(2))[:, :-1]
    with torch.no_grad():
        assert torch.isfinite(model(input_ids=ids).logits).all()
    card = (run.result / "README.md").read_text()
    assert "trained with hyperfit on a few pictures" in card
    assert "completes pictures" in card
    assert "text" not in card.split("## Recipe")[0].replace("text_column", "")
    if method == "full":
        again = load_palette(str(run.result))
        assert torch.equal(again.tokens(stripes(2)), load_palette(gallery[0]).tokens(stripes(2)))


def test_a_run_that_was_stopped_goes_on(gallery: tuple[str, str], tmp_path: Path) -> None:
    whole = train(recipe_of(gallery), tmp_path / "whole", notify=quiet)

    def stop(line: str) -> None:
        if line.startswith("epoch   1"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe_of(gallery), tmp_path / "parts", notify=stop)
    train(recipe_of(gallery), tmp_path / "parts", resume=True, notify=quiet)
    assert_same(whole.path, tmp_path / "parts")


def test_dropout_is_off(gallery: tuple[str, str], tmp_path: Path) -> None:
    """The family's config drops a tenth; two runs are one."""
    assert json.loads((Path(gallery[0]) / "config.json").read_text())["resid_pdrop"] == 0.1
    runs = [train(recipe_of(gallery, method="full"), tmp_path / name, notify=quiet) for name in ("one", "two")]
    assert_same(runs[0].path, runs[1].path)


def test_another_causal_model_over_colours(gallery: tuple[str, str], tmp_path: Path) -> None:
    save_tiny(tmp_path / "gpt2", "gpt2", vocab_size=40, max_position_embeddings=80)
    processor = (Path(gallery[0]) / "preprocessor_config.json").read_bytes()
    (tmp_path / "gpt2" / "preprocessor_config.json").write_bytes(processor)
    run = train(recipe_of((str(tmp_path / "gpt2"), gallery[1])), tmp_path / "run", notify=quiet)
    assert run.events("epoch")[-1]["train_loss"] < run.events("epoch")[1]["train_loss"]
    assert weights(run.path)


# The split


def test_no_picture_or_near_copy_is_on_both_sides(gallery: tuple[str, str], tmp_path: Path) -> None:
    pixels = stripes(20)
    noisy = (pixels[:6].astype(int) + np.random.default_rng(1).integers(-3, 4, pixels[:6].shape)).clip(0, 255)
    mirrored = pixels[6:10, :, ::-1]
    folder = save_pictures(tmp_path / "a", np.concatenate([pixels, noisy.astype(np.uint8), mirrored, pixels[:2]]))
    palette = load_palette(gallery[0])
    for seed in range(4):
        corpus = build_picture_corpus(recipe_of(gallery, data=str(folder), heldout=0.3, seed=seed), palette)
        assert corpus.duplicates == 3, "two that come again, and one that is its own mirror image"
        assert corpus.together == 18, "six with noise, three mirrored, and what they were made of"
        seen = {picture.tobytes() for picture in palette.pixels(corpus.train)}
        for picture in palette.pixels(corpus.validation):
            assert picture.tobytes() not in seen
            assert np.ascontiguousarray(picture[:, ::-1]).tobytes() not in seen


def test_held_out_parts_are_kept_and_cleaned(gallery: tuple[str, str], tmp_path: Path) -> None:
    pixels = stripes(10)
    save_pictures(tmp_path / "train", pixels[:8])
    save_pictures(tmp_path / "validation", np.concatenate([pixels[8:], pixels[:1], pixels[1:2, :, ::-1]]))
    corpus = build_picture_corpus(recipe_of(gallery, data=str(tmp_path)), load_palette(gallery[0]))
    assert (len(corpus.train), len(corpus.validation)) == (6, 4)
    assert (corpus.duplicates, corpus.near_copies) == (1, 1)
    assert corpus.names[0].startswith("train/0")


# What is refused


def problems(recipe: Recipe, folder: Path) -> tuple[str, ...]:
    with pytest.raises(UserError) as caught:
        train(recipe, folder / "run", notify=quiet)
    assert not (folder / "run").exists()
    return caught.value.problems


def test_settings_for_text_and_other_lengths(gallery: tuple[str, str], world: tuple[str, str], tmp_path: Path) -> None:
    found = problems(recipe_of(gallery, chunking="packed", text_column="a", length=64), tmp_path)
    assert found == (
        "--text-column: has no effect on a model of pictures; leave it out",
        "--chunking: has no effect on a model of pictures; leave it out",
        f"--length 64: {gallery[0]} is trained on whole pictures of 65 tokens; leave it out",
    )
    found = problems(
        Recipe(model=world[0], data=world[1], length=16, rank=4, image_column="a", skip_unusable=True), tmp_path
    )
    assert found == (
        "--image-column: has no effect on a model of text; leave it out",
        "--skip-unusable: has no effect on a model of text; leave it out",
    )


def test_too_few_pictures(gallery: tuple[str, str], tmp_path: Path) -> None:
    few = str(save_pictures(tmp_path / "few", stripes(5)))
    (found,) = problems(recipe_of(gallery, data=few, samples=9), tmp_path)
    assert found == f"--data {few}: gives 4 training pictures, but 9 are needed; give --samples 4 or more pictures"
    one = str(save_pictures(tmp_path / "one", stripes(1)))
    (found,) = problems(recipe_of(gallery, data=one), tmp_path)
    assert "1 picture(s) cannot be split into training and held-out parts; give more pictures, or --heldout 0" in found


def test_everything_wrong_is_told_at_once(gallery: tuple[str, str], tmp_path: Path) -> None:
    folder = save_pictures(tmp_path / "a", stripes(6))
    (folder / "002.png").write_bytes(b"")
    (folder / "words.txt").write_text("a")
    found = problems(recipe_of(gallery, data=str(folder), text_column="a"), tmp_path)
    assert [problem.split(":")[0] for problem in found] == ["--text-column", f"--data {folder}"]
    assert "002.png is empty" in found[1]
    run = train(recipe_of(gallery, data=str(folder), skip_unusable=True), tmp_path / "run", notify=quiet)
    assert run.end


def test_a_processor_without_clusters_or_of_another_size(gallery: tuple[str, str], tmp_path: Path) -> None:
    save_tiny_image(tmp_path / "model")
    file = tmp_path / "model" / "preprocessor_config.json"
    said = json.loads(file.read_text())
    file.write_text(json.dumps({**said, "size": {"height": 9, "width": 8}}))
    recipe = dataclasses.replace(recipe_of(gallery), model=str(tmp_path / "model"))
    assert "its pictures have 72 pixels (8 by 9), and it knows 64 positions" in problems(recipe, tmp_path)[0]
    file.write_text(json.dumps({**said, "clusters": None}))
    (found,) = problems(recipe, tmp_path)
    assert found.startswith(f"MODEL {tmp_path / 'model'}: its preprocessor_config.json has no colour clusters")


def test_the_command(gallery: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.chdir(tmp_path)
    flags = "--epochs 1 --late-blocks 1 --rank 4 --batch-size 4 --probe-texts 2 --heldout 0.2 -o run".split()
    main(["train", gallery[0], "--data", gallery[1], *flags])
    assert RunDir.open(tmp_path / "run").end
    assert "next: hyperfit complete run" in capsys.readouterr().err
    main(["report", "run"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "hyperfit complete run" in page
    assert "hyperfit evaluate" not in page
    assert "of greedy completions" in page
    assert '<th scope="row">greedy completion</th>' in page
    assert "greedy text" not in page
    main(["complete", "run", "--count", "2", "--decodings", "greedy"])
    main(["report", "run"])
    page = (tmp_path / "run" / "report.html").read_text()
    assert "hyperfit complete run" not in page
    grid = base64.b64encode((tmp_path / "run" / "completions.png").read_bytes()).decode()
    assert f'src="data:image/png;base64,{grid}"' in page
    assert "row above, %" in page
    with pytest.raises(SystemExit):
        main(["report", "run", "run"])
    assert "run: completes pictures, which have pages of their own; give it alone" in capsys.readouterr().err
    (tmp_path / "run" / "completions.json").write_text("{}")
    with pytest.raises(SystemExit):
        main(["report", "run"])
    assert "completions.json: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("command", [["evaluate"], ["generate", "--prompt", "a"], ["play"]])
def test_commands_for_text_say_so_of_a_run_on_pictures(
    gallery: tuple[str, str], tmp_path: Path, command: list[str], capsys: Any
) -> None:
    run = train(recipe_of(gallery, epochs=1), tmp_path / "run", notify=quiet)
    with pytest.raises(SystemExit) as left:
        main([command[0], str(run.path), *command[1:]])
    assert left.value.code == 2
    told = capsys.readouterr().err
    assert "its tokens are pixels, and this is for models of text" in told
    assert "Traceback" not in told
