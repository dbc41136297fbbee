"""Pixels ↔ tokens, as the folder of a model says: each pixel is the nearest of the colours that the model knows."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, models
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from transformers.models.imagegpt.image_processing_pil_imagegpt import ImageGPTImageProcessorPil

from hyperfit.errors import UserError
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
    elif clusters.ndim != 2 or clusters.shape[1] != 3 or not all(isinstance(one, int | float) for one in clusters.flat):
        problems.append(f"the colour clusters of its {PROCESSOR} are not [colours, 3] numbers")
    elif len(clusters) >= rows:
        problems.append(
            f"its {PROCESSOR} has {len(clusters)} colour clusters, but its embedding only {rows} rows, one of which is "
            "for the start token"
        )
    size = said.get("size", 0)
    if (
        said
        and not (isinstance(size, int) and size)
        and not (isinstance(size, dict) and {"height", "width"} <= {*size})
    ):
        problems.append(f"its {PROCESSOR} does not say how high and wide its pictures are (size)")
    palette = None if problems else Palette(ImageGPTImageProcessorPil.from_pretrained(where), rows - 1)
    if palette and positions is not None and palette.length - 1 > positions:  # the last pixel is predicted and not read
        problems.append(
            f"its pictures have {palette.length - 1} pixels ({palette.frame}), and it knows {positions} positions"
        )
    if problems or palette is None:
        remedy = "put the image processor of an ImageGPT model there, as transformers' save_pretrained writes it"
        raise UserError(*(f"{name}: {problem}; {remedy}" for problem in problems))
    return palette
