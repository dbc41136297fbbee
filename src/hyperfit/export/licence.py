"""The licence that a base model names: in the front matter of its own card."""

from pathlib import Path

from huggingface_hub import ModelCard
from transformers.utils.hub import cached_file

from hyperfit.models.files.folders import model_folder

BUILTIN = {"builtin:smollm2": "apache-2.0"}
"""Of models whose files come without a card."""


def base_licence(model: str) -> str | None:
    """The licence in the model card beside a base model's weights; None where it has no card, or names none."""
    if model in BUILTIN:
        return BUILTIN[model]
    try:
        found = cached_file(model_folder(model), "README.md", _raise_exceptions_for_missing_entries=False)
        licence = ModelCard(Path(str(found)).read_text(encoding="utf-8")).data.get("license") if found else None
    except Exception:  # whatever a foreign card may hold, or a hub that cannot be reached: it is asked for one word
        return None
    return licence if isinstance(licence, str) else None
