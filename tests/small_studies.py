"""Settings of studies that are over in seconds."""

from dataclasses import replace
from typing import Any

from hyperfit.studies.settings import StudySettings


def settings_for(world: tuple[str, str], **changes: Any) -> StudySettings:
    """Of a model and texts: 8 sequences of 24 tokens, and 4 contexts."""
    model, texts = world
    base = StudySettings(
        model=model, data=texts, samples=8, length=24, seeds=2, contexts=(texts,), most_contexts=4, context=6, total=24
    )
    return replace(base, **changes)
