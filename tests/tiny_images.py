"""A tiny random ImageGPT with its image processor, and small pictures, for the tests of pictures."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from transformers.models.imagegpt.image_processing_pil_imagegpt import ImageGPTImageProcessorPil

from tiny_models import tiny_model

SIDE = 8
COLOURS = [[float(value) for value in colour] for colour in itertools.product((-1, 0, 1), repeat=3)]
"""27 colours: each channel 0, 128 or 255."""


def save_tiny_image(folder: Path, *, side: int = SIDE, **changes: Any) -> Path:
    """The folder, with a tiny ImageGPT of pictures of side by side pixels and its processor in it."""
    sizes: dict[str, Any] = {
        "vocab_size": len(COLOURS) + 1,
        "max_position_embeddings": side * side,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    tiny_model("imagegpt", **{**sizes, **changes}).save_pretrained(folder)
    size = {"height": side, "width": side}
    ImageGPTImageProcessorPil(clusters=COLOURS, size=size).save_pretrained(folder)
    return folder


def stripes(count: int, side: int = SIDE, seed: int = 0) -> np.ndarray:
    """uint8[count, side, side, 3]: pictures of two colours of the palette in stripes, no two alike."""
    draw = np.random.default_rng(seed)
    colours = np.array([(0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 128, 255), (255, 255, 0), (0, 128, 0)], np.uint8)
    pictures = []
    for number in range(count):
        one, other = draw.choice(len(colours), 2, replace=False)
        high = draw.random(side) < 0.5
        rows = np.where(high[:, None] ^ (np.arange(side) % 3 == number % 3)[None], one, other)
        pictures.append(colours[rows])
    return np.stack(pictures)


def save_pictures(folder: Path, pixels: np.ndarray) -> Path:
    """The folder, with a PNG file of each picture, 000.png and on."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:03}.png")
    return folder
