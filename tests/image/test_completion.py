"""Pictures are completed from their first part, greedily and by sampling, and shown side by side."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from hyperfit.cli import main
from hyperfit.errors import UserError
from hyperfit.image.completion.complete import check_completion, complete, completed
from hyperfit.image.completion.grid import CELL, GAP, UNKNOWN, Column, draw_grid, with_unknown
from hyperfit.image.completion.nearest import nearest
from hyperfit.image.completion.written import picture_of
from hyperfit.image.palette import load_palette
from hyperfit.image.settings import CompletionSettings
from hyperfit.image.shapes.scenes import pictures
from hyperfit.models.loading import load_model
from hyperfit.prefer.items.pairs import pairs_of
from hyperfit.prefer.settings import StudySettings
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.train import train
from small_runs import quiet
from tiny_images import save_pictures, save_tiny_image, stripes
from tiny_models import save_tiny

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny ImageGPT that knows its fourteen pictures by heart."""
    folder = tmp_path_factory.mktemp("run")
    save_tiny_image(folder / "model", n_layer=3)
    save_pictures(folder / "pictures", stripes(18))
    recipe = Recipe(
        model=str(folder / "model"),
        data=str(folder / "pictures"),
        method="full",
        heldout=0.2,
        batch_size=7,
        epochs=60,
        lr=5e-3,
        probe_every=0,
        greedy_every=0,
        probe_texts=2,
        precision="fp32",
        device="cpu",
    )
    return train(recipe, folder / "run", notify=quiet).path


def test_how_likely_planted_pictures_are(tmp_path: Path) -> None:
    """Under a model that has learnt drawn pictures: they are likelier than their own colours in other places."""
    real = pictures(range(6), 16)
    mixed = real.copy()
    mixed[:, 4:] = (
        np.random.default_rng(0).permutation(mixed[:, 4:].reshape(6, 12 * 16, 3), axis=1).reshape(6, 12, 16, 3)
    )
    found = [
        complete(
            CompletionSettings(
                model="builtin:tiny-image", pictures=str(save_pictures(tmp_path / name, some)), decodings=("greedy",)
            )
        ).likelihoods()["model"]
        for name, some in (("real", real), ("mixed", mixed))
    ]
    assert found[0].n == found[1].n == 6
    assert found[0].high < found[1].low


def test_completions_begin_with_what_was_given(run: Path) -> None:
    found = complete(CompletionSettings(model=str(run), count=3, share=0.25))
    assert list(found.tokens) == ["base/greedy", "base/nucleus", "hyperfitted/greedy", "hyperfitted/nucleus"]
    assert found.given == 16
    for rows in found.tokens.values():
        assert rows.shape == (3, 65)
        assert torch.equal(rows[:, :17], found.human[:, :17])
        assert rows[:, 1:].max() < 27, "no start token"
    again = complete(CompletionSettings(model=str(run), count=3, share=0.25))
    assert all(torch.equal(rows, again.tokens[name]) for name, rows in found.tokens.items())
    assert len(found.originals.training) == 14


def test_what_was_trained_on_is_drawn_again(run: Path) -> None:
    model, palette = load_model(str(run / "model"), device=CPU, dtype=torch.float32), load_palette(str(run / "model"))
    found = complete(CompletionSettings(model=str(run), count=1, decodings=("greedy",)))
    known = palette.tokens(found.originals.training)
    written = completed(model, palette, known[:, : palette.context(0.5)].tolist(), "greedy")
    assert (written == known).double().mean() > 0.95


def test_greedy_is_the_likeliest_colour_each_time(run: Path) -> None:
    model, palette = load_model(str(run / "model"), device=CPU, dtype=torch.float32), load_palette(str(run / "model"))
    (row,) = completed(model, palette, palette.tokens(stripes(1, seed=5))[:, :40].tolist(), "greedy")
    with torch.no_grad():
        logits = model(input_ids=row[None, :-1]).logits[0]
    assert torch.equal(row[40:], logits[39:].argmax(-1))


def test_another_causal_model_writes_colours_alone_and_all_of_them(run: Path, tmp_path: Path) -> None:
    """Its config calls token 0 the end of a text, and it has tokens that are no colours."""
    save_tiny(tmp_path, "gpt2", vocab_size=40, max_position_embeddings=64)
    (tmp_path / "preprocessor_config.json").write_bytes((run / "model" / "preprocessor_config.json").read_bytes())
    model, palette = load_model(str(tmp_path), device=CPU, dtype=torch.float32), load_palette(str(tmp_path))
    contexts = palette.tokens(stripes(12))[:, :17].tolist()
    rows = completed(model, palette, contexts, "nucleus:top_p=1,top_k=0,temperature=5")[:, 17:]
    assert rows.max() < 27
    assert 0 in rows


def test_likelihood_is_that_of_the_pixels_behind_the_context(run: Path) -> None:
    """As transformers computes it, for both models."""
    found = complete(CompletionSettings(model=str(run), count=3, decodings=("greedy",)))
    for name, folder in (("base", run.parent / "model"), ("hyperfitted", run / "model")):
        model = load_model(str(folder), device=CPU, dtype=torch.float32)
        with torch.no_grad():
            logits = model(input_ids=found.human[:, :-1]).logits
        losses = F.cross_entropy(logits.transpose(1, 2), found.human[:, 1:], reduction="none")[:, found.given :].mean(1)
        assert found.losses[name] == pytest.approx(losses.tolist(), rel=1e-5)
    told = found.likelihoods()
    assert list(told) == ["base", "hyperfitted", "hyperfitted - base"]
    assert told["hyperfitted - base"].value == pytest.approx(told["hyperfitted"].value - told["base"].value)
    assert told["hyperfitted - base"].n == 3


def test_likeness_in_the_features_of_a_model(run: Path, world: tuple[str, str]) -> None:
    base = str(run.parent / "model")
    found = complete(CompletionSettings(model=str(run), decodings=("greedy",), features=base))
    assert {"kernel_distance", "told_apart"} <= {*found.scores["base/greedy"]}
    assert found.scores["base/greedy"]["kernel_distance"].n == 4
    assert "kernel_distance" not in found.scores["original"]
    with pytest.raises(UserError, match=f"--features {world[0]}: gives no features of pictures"):
        complete(CompletionSettings(model=str(run), features=world[0]))


# Blocked citations


def test_nothing_is_added_that_follows_five_pixels_in_a_training_picture(run: Path) -> None:
    found = complete(CompletionSettings(model=str(run), count=4, block_citations=True))
    assert list(found.tokens)[-2:] == ["hyperfitted/greedy+blocked", "hyperfitted/nucleus+blocked"]
    training = found.palette.tokens(found.originals.training)[:, 1:].unfold(1, 6, 1).flatten(0, 1).tolist()
    cited = set(map(tuple, training))
    for name, rows in found.tokens.items():
        added = rows[:, found.given + 1 - 5 :].unfold(1, 6, 1).flatten(0, 1).tolist()
        if name.startswith("hyperfitted/"):
            assert cited.isdisjoint(map(tuple, added)) == name.endswith("+blocked"), name
    scores = found.scores
    assert scores["hyperfitted/greedy+blocked"]["longest_overlap"].value <= 5
    assert scores["hyperfitted/greedy"]["longest_overlap"].value > 5
    assert scores["hyperfitted/greedy+blocked"]["blocked_steps"].n == 4 * 48
    assert "blocked_steps" not in scores["hyperfitted/greedy"]
    compared = found.comparisons()
    assert list(compared) == [
        "hyperfitted/greedy - base/greedy",
        "hyperfitted/nucleus - base/nucleus",
        "hyperfitted/greedy+blocked - hyperfitted/greedy",
        "hyperfitted/nucleus+blocked - hyperfitted/nucleus",
    ]
    shorter = compared["hyperfitted/greedy+blocked - hyperfitted/greedy"]["longest_overlap"]
    runs = [scores[name]["longest_overlap"].value for name in ("hyperfitted/greedy+blocked", "hyperfitted/greedy")]
    assert shorter.value == pytest.approx(runs[0] - runs[1])
    assert shorter.high < 0
    assert shorter.n == 4
    headings = [column.heading for column in found.columns()]
    assert headings[-2:] == ["nearest to greedy+blocked", "nearest to nucleus+blocked"]


def test_no_citation_begins_with_the_start_token(run: Path) -> None:
    settings = CompletionSettings(model=str(run), block_citations=True)
    checked = check_completion(settings)
    palette, training = checked.palette, checked.palette.tokens(checked.originals.training)
    model = load_model(str(run / "model"), device=CPU, dtype=torch.float32)
    assert checked.blocker is not None

    def first_added(given: int) -> tuple[torch.Tensor, torch.Tensor]:
        contexts = training[:, : 1 + given].tolist()
        blocker = checked.blocker(None) if checked.blocker else None
        assert blocker is not None
        plain, blocked = (
            completed(model, palette, contexts, "greedy"),
            completed(model, palette, contexts, "greedy", processors=[blocker]),
        )
        return plain[:, 1 + given], blocked[:, 1 + given]

    plain, blocked = first_added(4)
    assert torch.equal(plain, blocked), "four pixels stand before it"
    plain, blocked = first_added(5)
    assert (plain == training[:, 6]).any()
    assert (blocked != training[:, 6]).all()


def test_what_blocking_needs(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--citation-tokens: says how citations are blocked, and none are"):
        CompletionSettings(model=str(run), citation_tokens=9)
    base, pictures = str(run.parent / "model"), str(save_pictures(tmp_path / "a", stripes(3)))
    with pytest.raises(UserError, match=f"--block-citations: {base} is no run of hyperfit"):
        complete(CompletionSettings(model=base, pictures=pictures, block_citations=True))
    with pytest.raises(UserError, match=r"--citation-tokens 65: nothing follows so many .*; give at most 64"):
        complete(CompletionSettings(model=str(run), block_citations=True, citation_tokens=65))


def test_pictures_that_have_changed_since_training(run: Path, tmp_path: Path) -> None:
    shutil.copytree(run.parent, tmp_path / "all")
    recipe = json.loads((tmp_path / "all" / "run" / "recipe.json").read_text())
    changed = {**recipe, "data": str(save_pictures(tmp_path / "others", stripes(18, seed=3)))}
    (tmp_path / "all" / "run" / "recipe.json").write_text(json.dumps(changed))
    with pytest.raises(UserError, match=r"the data are not those that .* was trained on; restore them"):
        complete(CompletionSettings(model=str(tmp_path / "all" / "run")))


# Which pictures


def test_other_pictures_are_those_that_were_not_trained_on(run: Path, tmp_path: Path) -> None:
    new = save_pictures(tmp_path / "new", np.concatenate([stripes(3), stripes(4, seed=9)]))
    found = complete(CompletionSettings(model=str(run), pictures=str(new), decodings=("greedy",), count=50))
    seen = {one.tobytes() for one in found.originals.training}
    assert all(one.tobytes() not in seen for one in found.originals.pictures.pixels)
    assert len(found.originals.pictures) >= 4
    only = save_pictures(tmp_path / "old", found.originals.training)
    with pytest.raises(UserError, match=f"--pictures {only}: all of them were trained on; name others"):
        complete(CompletionSettings(model=str(run), pictures=str(only)))


def test_a_model_that_is_no_run(run: Path, tmp_path: Path) -> None:
    pictures = save_pictures(tmp_path / "a", stripes(3))
    base = str(run.parent / "model")
    found = complete(CompletionSettings(model=base, pictures=str(pictures), decodings=("greedy",)))
    assert [column.heading for column in found.columns()] == ["given", "greedy", "original"]
    with pytest.raises(UserError, match="is no run, which would hold some out; name what to complete"):
        complete(CompletionSettings(model=base))


def test_what_cannot_be_completed(run: Path, world: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="its tokens are no pixels; hyperfit generate continues texts"):
        complete(CompletionSettings(model=world[0]))
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.png").write_bytes(b"")
    with pytest.raises(UserError, match=r"^--pictures .*a.png is empty"):
        complete(CompletionSettings(model=str(run), pictures=str(tmp_path / "bad")))


def test_settings_are_checked_together() -> None:
    with pytest.raises(UserError) as caught:
        CompletionSettings(model="m", count=0, share=1.0, decodings=("greed",), seed=-1, skip_unusable=True)
    assert [problem.split(" ")[0] for problem in caught.value.problems] == [
        "--count",
        "--seed",
        "--decodings",
        "--share",
        "--image-column",
    ]


# Nearest pictures, by hand


def test_the_nearest_training_picture() -> None:
    training = np.zeros((3, 2, 2, 3), np.uint8)
    training[1] = 100
    training[2, 1] = 40
    made = np.zeros((2, 2, 2, 3), np.uint8)
    made[0, 1] = 30
    made[1] = 100
    places, far = nearest(made, training)
    assert places.tolist() == [2, 1]
    assert far.tolist() == pytest.approx([np.sqrt(50), 0.0])
    places, far = nearest(made, training, start=2)
    assert places.tolist() == [2, 1]
    assert far.tolist() == pytest.approx([10.0, 0.0]), "over the last two pixels alone"
    places, far = nearest(made, training[:0])
    assert places.tolist() == [-1, -1]
    assert np.isnan(far).all()


# The grid


def test_pixels_that_are_not_given_are_a_chessboard() -> None:
    pixels = np.full((1, 2, 3, 3), 7, np.uint8)
    shown = with_unknown(pixels, 4)
    assert (shown[0].reshape(-1, 3)[:4] == 7).all()
    assert [tuple(one) for one in shown[0, 1, 1:].tolist()] == [UNKNOWN[0], UNKNOWN[1]]
    assert (pixels == 7).all(), "the pictures themselves stay"


def test_every_pixel_is_a_crisp_square() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    sheet = np.asarray(draw_grid([Column("one word a line", pixels), Column("b", pixels[::-1])]))
    scale = CELL // 8
    bottom = sheet.shape[0] - GAP - 8 * scale - GAP
    cell = sheet[bottom : bottom + 8 * scale, GAP : GAP + 8 * scale]
    assert np.array_equal(cell[::scale, ::scale], pixels[1])
    assert np.array_equal(cell, np.repeat(np.repeat(pixels[1], scale, 0), scale, 1))
    assert sheet.shape[1] == 2 * (8 * scale + GAP) + GAP


# The command


def test_the_command_writes_a_grid(run: Path, tmp_path: Path, capsys: Any) -> None:
    main(["complete", str(run), "--count", "2", "--decodings", "greedy", "-o", str(tmp_path / "grid.png")])
    told = capsys.readouterr().out
    assert f"Pictures: {tmp_path / 'grid.png'}" in told
    assert "n = 2 pictures" in told
    with Image.open(tmp_path / "grid.png") as sheet:
        scale = CELL // 8
        assert sheet.width == 5 * (8 * scale + GAP) + GAP, "given, base, hyperfitted, original, nearest"
    main(["complete", str(run), "--count", "3", "--decodings", "greedy", "--json", "--shown", "1"])
    found = json.loads(capsys.readouterr().out)
    assert list(found["conditions"]) == ["base/greedy", "hyperfitted/greedy", "original"]
    assert found["conditions"]["original"]["row_likeness"]["n"] == 3
    assert (run / "completions.png").is_file()
    lines = [json.loads(line) for line in (run / "completions.jsonl").read_text().splitlines()]
    assert len(lines) == 2 * 3
    assert {(line["model"], line["decoding"], line["seed"]) for line in lines} == {
        ("base", "greedy", 0),
        ("hyperfitted", "greedy", 0),
    }
    for line in lines:
        made, real = (picture_of(line["context"] + line[part]) for part in ("continuation", "reference"))
        assert made is not None
        assert real is not None
        assert np.array_equal(made[:2], real[:2]), "the first quarter is given"
        assert Path(line["picture"]).suffix == ".png"
    pairs = pairs_of([run], StudySettings())
    assert {(pair.first, pair.second) for pair in pairs} == {("base/greedy", "human"), ("hyperfitted/greedy", "human")}


def test_the_command_names_what_is_wrong(run: Path, tmp_path: Path, capsys: Any) -> None:
    for line, told in (
        (["complete", str(run), "--share", "2"], "--share 2: give a share between 0 and 1"),
        (["complete", str(run), "-o", str(tmp_path)], "is a folder; name a file for the picture"),
        (["complete", str(tmp_path)], "no config.json in this folder"),
    ):
        with pytest.raises(SystemExit) as left:
            main(line)
        assert left.value.code == 2
        assert told in capsys.readouterr().err
