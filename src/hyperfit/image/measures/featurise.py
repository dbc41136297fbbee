"""Pictures → features of a model that has seen others: an encoder of pictures, or a model whose tokens are pixels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel

from hyperfit.data.reading.hub import check_hub
from hyperfit.errors import UserError, first_line
from hyperfit.image.measures.kernel import Floats
from hyperfit.image.palette import load_palette
from hyperfit.image.reading.decode import Pixels
from hyperfit.models.files.folders import model_folder
from hyperfit.models.files.pictures import of_pictures
from hyperfit.models.files.shards import check_hub_shards
from hyperfit.models.loading import UNREADABLE, evaluating, load_config, load_model, quiet
from hyperfit.models.structure.forward import hidden_at
from hyperfit.models.structure.layout import blocks_of

Featurise = Callable[[Pixels], Floats]
"""uint8[pictures, height, width, 3] → float64[pictures, features]"""
AT_ONCE = 16
"""Pictures that are read together."""
REMEDY = (
    "give the folder of an encoder of pictures, as transformers saves one with its image processor (ViT, DINOv2, CLIP)"
)


def check_featuriser(name: str) -> None:
    """Raises UserError for a model that gives no features of pictures; no weights are read."""
    where = model_folder(name)
    if of_pictures(where):
        load_config(name)
        load_palette(name)
        return
    if not Path(where).is_dir():
        check_hub(where)
    try:
        AutoConfig.from_pretrained(where, trust_remote_code=False)
        AutoImageProcessor.from_pretrained(where, trust_remote_code=False)
    except (*UNREADABLE, ImportError) as error:
        reason = first_line(error)
        raise UserError(f"{name}: gives no features of pictures ({reason}); {REMEDY}") from error


def load_featuriser(name: str, device: torch.device) -> Featurise:
    """What makes features of pictures, in fp32. Raises UserError for a model that gives none.

    Of an encoder its pooled output, or where it has none the mean of its last states; of a model whose tokens are
    pixels the mean, over all pixels, of the states that enter the middle one of its blocks, where Chen et al. (2020,
    Generative pretraining from pixels) found the best features. A block reads states through a norm, and what was
    added up before may be of any size: each is divided by its root mean square, so that kernels of features compare.
    """
    check_featuriser(name)
    one_batch = of_pixels(name, device) if of_pictures(model_folder(name)) else of_encoder(name, device)

    def featurise(pixels: Pixels) -> Floats:
        rows = [one_batch(pixels[start : start + AT_ONCE]) for start in range(0, len(pixels), AT_ONCE)]
        return np.concatenate([row.double().cpu().numpy() for row in rows])

    return featurise


def of_pixels(name: str, device: torch.device) -> Callable[[Pixels], torch.Tensor]:
    """The features of a model whose tokens are pixels."""
    model, palette = load_model(name, device=device, dtype=torch.float32), load_palette(name)
    size = (palette.frame.width, palette.frame.height)

    def one_batch(pixels: Pixels) -> torch.Tensor:
        fitted = np.stack([np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BOX)) for one in pixels])
        ids = palette.tokens(fitted)[:, :-1].to(device)
        with evaluating(model):
            states = hidden_at(model, len(blocks_of(model)) // 2, ids)
            return F.rms_norm(states, states.shape[-1:]).mean(dim=1)

    return one_batch


def of_encoder(name: str, device: torch.device) -> Callable[[Pixels], torch.Tensor]:
    """The features of an encoder. Raises UserError where its weights cannot be read, or are not all there."""
    where = model_folder(name)
    model: Any
    try:
        check_hub_shards(where, None)
        with quiet():
            model, report = AutoModel.from_pretrained(
                where, use_safetensors=True, trust_remote_code=False, output_loading_info=True
            )
    except (*UNREADABLE, ImportError) as error:
        raise UserError(f"{name}: its weights cannot be loaded ({first_line(error)}); {REMEDY}") from error
    invented = sorted(report["missing_keys"])
    if lacking := [key for key in invented if "pool" not in key]:
        raise UserError(f"{name}: {len(lacking)} of its weights are missing, such as {lacking[0]}; {REMEDY}")
    processor = AutoImageProcessor.from_pretrained(where, trust_remote_code=False)
    model.to(device).eval()
    read = getattr(model, "get_image_features", model)

    def one_batch(pixels: Pixels) -> torch.Tensor:
        inputs = processor(images=list(pixels), input_data_format="channels_last", return_tensors="pt").to(device)
        with evaluating(model):
            found = read(**inputs)
        if isinstance(found, torch.Tensor):
            return found
        pooled = None if invented else getattr(found, "pooler_output", None)
        features: torch.Tensor = found.last_hidden_state.mean(dim=1) if pooled is None else pooled.flatten(1)
        return features

    return one_batch
