"""Whether a model's tokens are the pixels of pictures: what its config and its image processor say."""

import json
from pathlib import Path
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING_NAMES
from transformers.utils.hub import cached_file

PROCESSOR = "preprocessor_config.json"
"""Where a model says how pictures become what it reads."""
PIXELS = "its tokens are pixels, and this is for models of text; hyperfit train, complete and mechanism take it"


def of_pictures(where: str) -> bool:
    """Whether a model (a folder, or a hub id) is of a family of pictures, or has a processor with colour clusters."""
    kind = settings(where, "config.json").get("model_type")
    return kind in MODEL_FOR_CAUSAL_IMAGE_MODELING_MAPPING_NAMES or bool(settings(where, PROCESSOR).get("clusters"))


def settings(where: str, name: str) -> dict[str, Any]:
    """What a JSON file of a model says; nothing where it is absent or damaged, of which others tell."""
    try:
        file = cached_file(where, name, _raise_exceptions_for_missing_entries=False)
        found = json.loads(Path(str(file)).read_text(encoding="utf-8")) if file else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
