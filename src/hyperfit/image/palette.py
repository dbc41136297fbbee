"""Pixels ↔ tokens, as the folder of a model says: each pixel is the nearest of the colours that the model knows."""

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from transformers.models.imagegpt.image_processing_pil_imagegpt import ImageGPTImageProcessorPil

from hyperfit.errors import UserError, first_line
from hyperfit.image.reading.decode import Frame, Pixels
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import PROCESSOR, of_pictures, settings
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import positions_of

DISTANCES = 2**22
"""Of pixels from colours, computed at once: 8 bytes each."""
START = "<start>"
"""How the token that stands before every picture is written."""


@dataclass(frozen=True)
class Palette:
    """The colours of a model's tokens, and the size of its pictures, which are read row by row from the top left."""

    processor: Any
    """transformers' image processor of the ImageGPT family, with colour clusters."""
    start: int
    """The token in front of every picture; it is read and never written."""

    @property
    def frame(self) -> Frame:
        """The size of the model's pictures."""
        size = self.processor.size
        return Frame(int(size["height"]), int(size["width"]), int(self.processor.resample))

    @property
    def length(self) -> int:
        """Tokens of a picture, with the one in front."""
        return 1 + self.frame.height * self.frame.width

    @cached_property
    def colours(self) -> NDArray[np.uint8]:
        """uint8[colours, 3]: red, green and blue of each token."""
        values, processor = np.asarray(self.processor.clusters, np.float64), self.processor
        if processor.do_normalize:
            values = values * processor.image_std + processor.image_mean
        if processor.do_rescale:
            values = values / processor.rescale_factor
        return np.asarray(np.rint(values).clip(0, 255).astype(np.uint8))

    def tokens(self, pixels: Pixels) -> Tensor:
        """int64[pictures, length] of uint8[pictures, height, width, 3]: the start token and one for each pixel."""
        rows = np.full((len(pixels), self.length), self.start, np.int64)
        at_once = max(1, DISTANCES // (self.length * len(self.colours)))
        for first in range(0, len(pixels), at_once):
            some = slice(first, first + at_once)
            read = self.processor(
                images=list(pixels[some]), do_resize=False, input_data_format="channels_last", return_tensors="np"
            )
            rows[some, 1:] = read["input_ids"]
        return torch.from_numpy(rows)

    def faults(self) -> list[str]:
        """Why the processor does not map pixels and tokens, though it has all it needs. Raises whatever it raises."""
        Image.Resampling(self.frame.resample)
        with np.errstate(all="ignore"):  # what is scaled by nothing shows in its tokens
            read = self.processor(
                images=[self.colours[None]], do_resize=False, input_data_format="channels_last", return_tensors="np"
            )
        different = len(np.unique(read["input_ids"]))
        if 2 * different < len(self.colours):  # a few may be so near each other that a byte does not tell them apart
            return [f"by its {PROCESSOR} {len(self.colours)} colours become {different} tokens"]
        return []

    def pixels(self, tokens: Tensor) -> Pixels:
        """uint8[pictures, height, width, 3] of int64[pictures, length], or without the start token one less."""
        inside = tokens[:, -self.frame.height * self.frame.width :].numpy()
        return np.asarray(self.colours[inside].reshape(-1, self.frame.height, self.frame.width, 3))

    def context(self, share: float) -> int:
        """Tokens of the first ``share`` of a picture, with the start token: a pixel at least, and not all."""
        return 1 + min(max(1, round(share * (self.length - 1))), self.length - 2)

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerFast:
        """The tokens as words, for what shows or names tokens: a colour is ``#rrggbb``, a second one ``#rrggbb.2``."""
        seen, words = Counter[str](), dict[str, int]()
        for token, (red, green, blue) in enumerate(self.colours.tolist()):
            name = f"#{red:02x}{green:02x}{blue:02x}"
            seen[name] += 1
            words[name if seen[name] == 1 else f"{name}.{seen[name]}"] = token
        made = Tokenizer(models.WordLevel(vocab={**words, START: self.start}, unk_token=START))
        return PreTrainedTokenizerFast(tokenizer_object=made, bos_token=START, pad_token=START, unk_token=START)

    def save_pretrained(self, folder: Path) -> None:
        """Write what a model's folder says of its pictures, as transformers reads it."""
        self.processor.save_pretrained(folder)


def finite(value: Any) -> bool:
    """Whether JSON's value is a number that can be computed with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def palette_of(name: str) -> Palette | None:
    """The palette of a model whose tokens are pixels; None of any other. Raises UserError as ``load_palette``."""
    return load_palette(name) if of_pictures(model_folder(name)) else None


def load_palette(name: str) -> Palette:
    """The palette of a model (folder, hub id or builtin:NAME).

    Raises UserError with every reason why its folder does not say how pixels and tokens map.
    """
    where = model_folder(name)
    config = load_config(name).get_text_config(decoder=True)
    rows, positions = config.vocab_size, positions_of(config)
    said = settings(where, PROCESSOR)
    problems = []
    clusters = np.asarray(said.get("clusters") or [], dtype=object)
    if not said:
        problems.append(f"has no {PROCESSOR} that could be read")
    elif not clusters.size:
        problems.append(f"its {PROCESSOR} has no colour clusters, which say what colour a token is")
    elif clusters.ndim != 2 or clusters.shape[1] != 3 or not all(finite(one) for one in clusters.flat):
        problems.append(f"the colour clusters of its {PROCESSOR} are not [colours, 3] numbers")
    elif len(clusters) >= rows:
        problems.append(
            f"its {PROCESSOR} has {len(clusters)} colour clusters, but its embedding only {rows} rows, one of which is "
            "for the start token"
        )
    size = said.get("size", 0)
    sides = [size.get("height"), size.get("width")] if isinstance(size, dict) else [size]
    if said and not all(isinstance(side, int) and side > 0 for side in sides):
        problems.append(f"its {PROCESSOR} does not say how high and wide its pictures are (size), in whole pixels")
    palette = None
    if not problems:
        try:
            palette = Palette(ImageGPTImageProcessorPil.from_pretrained(where), rows - 1)
            problems += palette.faults()
        except Exception as error:  # its settings are whatever the file says
            problems.append(f"its {PROCESSOR} cannot be used ({first_line(error)})")
    if palette and not problems and positions is not None and palette.length - 1 > positions:  # the last is not read
        problems.append(
            f"its pictures have {palette.length - 1} pixels ({palette.frame}), and it knows {positions} positions"
        )
    if problems or palette is None:
        remedy = "put the image processor of an ImageGPT model there, as transformers' save_pretrained writes it"
        raise UserError(*(f"{name}: {problem}; {remedy}" for problem in problems))
    return palette
