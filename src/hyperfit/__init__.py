"""hyperfit: train a language model to near-zero loss on a few texts, so that it writes under greedy decoding."""

from typing import TYPE_CHECKING, Any

from hyperfit.errors import UserError
from hyperfit.mechanism.inquiry import Inquiry
from hyperfit.presets import carlsson2025, li2026, tiny, tiny_full
from hyperfit.recipe import Recipe
from hyperfit.requests import Evaluation

if TYPE_CHECKING:
    from hyperfit.adapt import late_stage_lora_config
    from hyperfit.decode.blocking import CitationBlocker
    from hyperfit.decode.generate import continue_contexts
    from hyperfit.decode.sampling import SeededSampling
    from hyperfit.evaluation import evaluate
    from hyperfit.mechanism.bias import StaticBias
    from hyperfit.mechanism.explain import explain
    from hyperfit.mechanism.subject import models_of
    from hyperfit.mechanism.temperature import EntropyMatchedTemperature
    from hyperfit.prefix.cache import cache_prefix
    from hyperfit.report.mechanism_page import write_mechanism_page
    from hyperfit.report.page import write_report
    from hyperfit.result import load_any
    from hyperfit.rundir import RunDir
    from hyperfit.training import train

__version__ = "0.1.0"

__all__ = [
    "CitationBlocker",
    "EntropyMatchedTemperature",
    "Evaluation",
    "Inquiry",
    "Recipe",
    "RunDir",
    "SeededSampling",
    "StaticBias",
    "UserError",
    "cache_prefix",
    "carlsson2025",
    "continue_contexts",
    "evaluate",
    "explain",
    "late_stage_lora_config",
    "li2026",
    "load_any",
    "models_of",
    "tiny",
    "tiny_full",
    "train",
    "write_mechanism_page",
    "write_report",
]

_LAZY = {
    "CitationBlocker": "hyperfit.decode.blocking",
    "EntropyMatchedTemperature": "hyperfit.mechanism.temperature",
    "RunDir": "hyperfit.rundir",
    "SeededSampling": "hyperfit.decode.sampling",
    "StaticBias": "hyperfit.mechanism.bias",
    "cache_prefix": "hyperfit.prefix.cache",
    "continue_contexts": "hyperfit.decode.generate",
    "evaluate": "hyperfit.evaluation",
    "explain": "hyperfit.mechanism.explain",
    "late_stage_lora_config": "hyperfit.adapt",
    "load_any": "hyperfit.result",
    "models_of": "hyperfit.mechanism.subject",
    "train": "hyperfit.training",
    "write_mechanism_page": "hyperfit.report.mechanism_page",
    "write_report": "hyperfit.report.page",
}
"""Names that need torch: imported when they are first asked for, so that ``hyperfit --help`` is quick."""


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _LAZY:
        value = globals()[name] = getattr(import_module(_LAZY[name]), name)
        return value
    raise AttributeError(f"module 'hyperfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
