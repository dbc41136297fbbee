"""Which class of transformers builds a causal LM of a config, and which configs are none."""

from typing import Any

from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, AutoModelForMultimodalLM
from transformers.models.auto.auto_factory import _BaseAutoModelClass
from transformers.models.auto.modeling_auto import (
    MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING,
    MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING_NAMES,
    MODEL_FOR_CAUSAL_LM_MAPPING_NAMES,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES,
    MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES,
)

MOST_BLOCKS = 1000
"""Several times those of the deepest models; transformers builds one after the other, as many as a file says."""


class AutoModelForCausalImageModeling(_BaseAutoModelClass):
    """Models of pictures whose tokens are pixels; transformers lists them, and has no auto class for them."""

    _model_mapping = MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING  # type: ignore[assignment]


CLASSES: tuple[tuple[Any, Any], ...] = (
    (AutoModelForCausalLM, MODEL_FOR_CAUSAL_LM_MAPPING_NAMES),
    (AutoModelForCausalImageModeling, MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING_NAMES),
    (AutoModelForImageTextToText, MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES),
    (AutoModelForMultimodalLM, MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES),
)
"""In the order in which they are asked; of multimodal models only the text is used."""


def model_class(config: Any) -> Any:
    """The auto class of transformers that builds the model of a config that is not refused."""
    return next(auto for auto, names in CLASSES if config.model_type in names)


def unknown(kind: str) -> str | None:
    """Why a model of such a ``model_type`` cannot be hyperfitted; None if it may."""
    if any(kind in names for _, names in CLASSES):
        return None
    return f"transformers has no causal language model of type {kind!r}; give one that it has"


def refusal(config: Any) -> str | None:
    """Why a config's model cannot be hyperfitted, as far as the config tells; None if it may."""
    kind = config.model_type
    if reason := unknown(kind):
        return reason
    text = config.get_text_config(decoder=True)
    if config.is_encoder_decoder or text.is_encoder_decoder or type(config).is_encoder_decoder:
        return f"{kind} is an encoder-decoder, and hyperfitting is for decoders alone; give a causal language model"
    if unnamed := [name for name in ("num_hidden_layers", "hidden_size", "vocab_size") if not hasattr(text, name)]:
        return f"the config of a {kind} has no {', '.join(unnamed)}, without which its sizes are not known here"
    if isinstance(text.num_hidden_layers, int) and text.num_hidden_layers > MOST_BLOCKS:
        return f"num_hidden_layers {text.num_hidden_layers} in its config: more than {MOST_BLOCKS} blocks are not built"
    return None
