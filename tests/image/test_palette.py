"""Pixels become tokens as transformers' own processor makes them, and tokens pixels again."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoImageProcessor

from hyperfit.errors import UserError
from hyperfit.image.palette import Palette, load_palette
from hyperfit.models.loading import load_tokenizer
from tiny_images import COLOURS, SIDE, save_tiny_image, stripes
from tiny_models import save_tiny


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_image(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def palette(folder: Path) -> Palette:
    return load_palette(str(folder))


def test_a_palette_is_what_the_folder_says(palette: Palette) -> None:
    assert (palette.frame.height, palette.frame.width) == (SIDE, SIDE)
    assert palette.start == 27
    assert palette.length == 65
    assert palette.colours[0].tolist() == [0, 0, 0]
    assert palette.colours[5].tolist() == [0, 128, 255], "-1, 0 and 1 of the processor's scale"
    assert len(palette.colours) == len(COLOURS)


def test_tokens_are_those_of_transformers_and_begin_with_the_start_token(palette: Palette, folder: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)
    rows = palette.tokens(pixels)
    own = AutoImageProcessor.from_pretrained(folder)(images=list(pixels), return_tensors="np")["input_ids"]
    assert rows.shape == (5, 65)
    assert rows[:, 0].tolist() == [27] * 5
    assert np.array_equal(rows[:, 1:].numpy(), own)
    distance = ((pixels.reshape(5, 64, 1, 3) / 127.5 - 1 - np.array(COLOURS)) ** 2).sum(-1)
    chosen = np.take_along_axis(distance, rows[:, 1:, None].numpy(), 2)[..., 0]
    assert np.allclose(chosen, distance.min(-1)), "each pixel is a nearest colour"


def test_pictures_of_its_colours_come_back(palette: Palette) -> None:
    pixels = stripes(4)
    rows = palette.tokens(pixels)
    assert np.array_equal(palette.pixels(rows), pixels)
    assert np.array_equal(palette.pixels(rows[:, 1:]), pixels)
    assert palette.tokens(pixels[:0]).shape == (0, 65)


def test_the_context_is_a_share_of_the_pixels(palette: Palette) -> None:
    assert [palette.context(share) for share in (0.0, 0.25, 0.5, 0.999, 1.0)] == [2, 17, 33, 64, 64]


def test_tokens_are_written_as_colours(palette: Palette) -> None:
    tokenizer = palette.tokenizer
    assert tokenizer.decode([5, 0, 27]) == "#0080ff #000000 <start>"
    assert tokenizer("#0080ff")["input_ids"] == [5]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (27, None, 27)


def test_two_tokens_of_one_colour_have_two_names(folder: Path, tmp_path: Path) -> None:
    save_tiny_image(tmp_path)
    write(tmp_path, clusters=[[0, 0, 0], [0, 0, 0.001], [1, 1, 1]])
    assert load_palette(str(tmp_path)).tokenizer.decode([0, 1, 2]) == "#808080 #808080.2 #ffffff"


def test_it_is_written_as_it_was_read(palette: Palette, tmp_path: Path) -> None:
    save_tiny_image(tmp_path)
    (tmp_path / "preprocessor_config.json").unlink()
    palette.save_pretrained(tmp_path)
    again = load_palette(str(tmp_path))
    assert np.array_equal(again.colours, palette.colours)
    assert torch.equal(again.tokens(stripes(2)), palette.tokens(stripes(2)))


def write(folder: Path, **changes: Any) -> None:
    file = folder / "preprocessor_config.json"
    said = {**json.loads(file.read_text()), **changes}
    file.write_text(json.dumps({name: value for name, value in said.items() if value is not None}))


def test_the_processor_as_it_was_written_in_2021(tmp_path: Path) -> None:
    """That of openai/imagegpt-small: a number for the size, and another name for the class."""
    save_tiny_image(tmp_path)
    old = {"clusters": COLOURS, "do_normalize": True, "do_resize": True, "resample": 2, "size": SIDE}
    old["feature_extractor_type"] = "ImageGPTFeatureExtractor"
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(old))
    palette = load_palette(str(tmp_path))
    assert palette.length == 65
    assert np.array_equal(palette.pixels(palette.tokens(stripes(2))), stripes(2))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"clusters": None}, "has no colour clusters"),
        ({"clusters": []}, "has no colour clusters"),
        ({"clusters": [[0, 0]]}, r"are not \[colours, 3\] numbers"),
        ({"clusters": [[0, 0, "red"]]}, r"are not \[colours, 3\] numbers"),
        ({"clusters": [[0, 0, 0]] * 28}, "28 colour clusters, but its embedding only 28 rows"),
        ({"clusters": [[0, 0, 0], [0, 0, math.nan]]}, r"are not \[colours, 3\] numbers"),
        ({"size": {"shortest_edge": 8}}, "does not say how high and wide"),
        ({"size": 0}, "does not say how high and wide"),
        ({"size": {"height": 8, "width": -8}}, "does not say how high and wide"),
        ({"size": {"height": 8, "width": "8"}}, "does not say how high and wide"),
        ({"resample": 99}, "cannot be used"),
        ({"do_color_quantize": False}, "cannot be used"),
        ({"image_std": 0.0}, "27 colours become 1 tokens"),
        ({"do_rescale": True, "rescale_factor": 0.0}, "27 colours become 1 tokens"),
    ],
)
def test_a_processor_that_does_not_map_pixels_and_tokens(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    save_tiny_image(tmp_path)
    write(tmp_path, **changes)
    with pytest.raises(UserError, match=f"^{tmp_path}: .*{why}.*; put the image processor"):
        load_palette(str(tmp_path))


def test_a_model_without_a_processor(tmp_path: Path) -> None:
    save_tiny_image(tmp_path)
    for content in (None, "{broken", "[]"):
        file = tmp_path / "preprocessor_config.json"
        file.unlink() if content is None else file.write_text(content)
        with pytest.raises(UserError, match=r"has no preprocessor_config.json that could be read"):
            load_palette(str(tmp_path))


def test_any_causal_model_whose_folder_says_how_pixels_and_tokens_map(folder: Path, tmp_path: Path) -> None:
    save_tiny(tmp_path, "gpt2", vocab_size=40)
    assert load_tokenizer(str(tmp_path)).eos_token_id == 0
    (tmp_path / "preprocessor_config.json").write_bytes((folder / "preprocessor_config.json").read_bytes())
    assert load_palette(str(tmp_path)).start == 39
    with pytest.raises(UserError, match="its tokens are pixels"):
        load_tokenizer(str(tmp_path))


def test_commands_for_text_say_that_a_model_is_one_of_pictures(folder: Path) -> None:
    with pytest.raises(UserError, match=f"^{folder}: its tokens are pixels, and this is for models of text; "):
        load_tokenizer(str(folder))
