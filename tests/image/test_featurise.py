"""Features of pictures under tiny random models: as transformers computes them, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, CLIPConfig, CLIPModel, ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from hyperfit.errors import UserError
from hyperfit.image.measures.featurise import AT_ONCE, check_featuriser, load_featuriser
from hyperfit.image.measures.kernel import kernel_distance
from hyperfit.image.palette import load_palette
from hyperfit.image.shapes.scenes import pictures
from hyperfit.models.loading import load_model
from tiny_images import save_tiny_image, stripes

CPU = torch.device("cpu")
SMALL = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8}
SEEN = {**SMALL, "image_size": 16, "patch_size": 8}
LETTERS = {**SMALL, "vocab_size": 9, "bos_token_id": 7, "eos_token_id": 8, "pad_token_id": 1}


def save_encoder(folder: Path, model: ViTModel | CLIPModel) -> str:
    model.eval().save_pretrained(folder)
    ViTImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    return str(folder)


def test_of_an_encoder(tmp_path: Path) -> None:
    torch.manual_seed(0)
    name, pixels = save_encoder(tmp_path / "vit", ViTModel(ViTConfig(**SEEN))), stripes(AT_ONCE + 2)
    found = load_featuriser(name, CPU)(pixels)
    processor, model = ViTImageProcessorPil.from_pretrained(name), AutoModel.from_pretrained(name)
    with torch.no_grad():
        want = model(**processor(images=list(pixels), return_tensors="pt")).pooler_output
    assert found.shape == (AT_ONCE + 2, 8)
    assert found == pytest.approx(want.numpy(), abs=1e-5)


def test_of_an_encoder_whose_pooling_was_never_trained(tmp_path: Path) -> None:
    """transformers would build one with random weights: the mean of the last states is taken."""
    torch.manual_seed(0)
    name = save_encoder(tmp_path / "vit", ViTModel(ViTConfig(**SEEN), add_pooling_layer=False))
    processor, model = ViTImageProcessorPil.from_pretrained(name), ViTModel.from_pretrained(name)
    with torch.no_grad():
        want = model(**processor(images=list(stripes(3)), return_tensors="pt")).last_hidden_state.mean(1)
    assert load_featuriser(name, CPU)(stripes(3)) == pytest.approx(want.numpy(), abs=1e-5)


def test_of_a_model_of_pictures_and_texts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = CLIPConfig(text_config=LETTERS, vision_config=SEEN, projection_dim=6)
    name = save_encoder(tmp_path / "clip", CLIPModel(config))
    assert load_featuriser(name, CPU)(stripes(3)).shape == (3, 6)


def test_of_a_model_whose_tokens_are_pixels(tmp_path: Path) -> None:
    """The states that enter the middle block, all pixels alike; pictures of another size are fitted."""
    name = str(save_tiny_image(tmp_path))
    found = load_featuriser(name, CPU)(stripes(3))
    ids = load_palette(name).tokens(stripes(3))[:, :-1]
    model = load_model(name, device=CPU, dtype=torch.float32)
    with torch.no_grad():
        states = model(input_ids=ids, output_hidden_states=True).hidden_states[model.config.num_hidden_layers // 2]
    each = states / states.pow(2).mean(-1, keepdim=True).sqrt()
    assert found == pytest.approx(each.mean(1).numpy(), abs=1e-4)
    large = np.repeat(np.repeat(stripes(3), 2, axis=1), 2, axis=2)
    assert load_featuriser(name, CPU)(large) == pytest.approx(found)


def test_kernel_distance_in_the_features_of_a_model_of_pictures() -> None:
    """Of real pictures from others it is about nothing, of noise more; of the size that it has in the literature."""
    look = load_featuriser("builtin:tiny-image", CPU)
    real, others = pictures(range(30), 16), pictures(range(100, 130), 16)
    noise = others.copy()
    noise[:, 4:] = np.random.default_rng(0).integers(0, 256, noise[:, 4:].shape)
    known = look(real)
    same, noisy = (kernel_distance(look(one), known) for one in (others, noise))
    assert same.low < 0 < same.high
    assert same.high < noisy.low < noisy.high < 1


def test_what_gives_no_features(world: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"gives no features of pictures .*; give the folder of an encoder"):
        check_featuriser(world[0])
    with pytest.raises(UserError, match="nothing of this name is here, and it cannot be a hub id"):
        check_featuriser(str(tmp_path / "absent"))
