"""hyperfit: train a language model to near-zero loss on a few texts, so that it writes under greedy decoding."""

import logging
from typing import TYPE_CHECKING, Any

from hyperfit.errors import UserError
from hyperfit.evaluation.settings import EvaluationSettings
from hyperfit.export.settings import ExportSettings
from hyperfit.generation.settings import GenerationSettings
from hyperfit.image.settings import CompletionSettings
from hyperfit.mechanism.settings import MechanismSettings
from hyperfit.planning.settings import PlanSettings
from hyperfit.recipes.presets import (
    carlsson2025,
    li2026,
    smollm2,
    smollm2_full,
    smollm2_late_lora,
    smollm2_lora,
    tiny,
    tiny_full,
    tiny_image,
)
from hyperfit.recipes.recipe import Recipe
from hyperfit.studies.settings import StudySettings

if TYPE_CHECKING:
    from hyperfit.evaluation.evaluate import evaluate
    from hyperfit.export.export import export_run
    from hyperfit.generation.citations.blocking import CitationBlocker
    from hyperfit.generation.continuations import continue_contexts
    from hyperfit.generation.generate import generate
    from hyperfit.generation.processors.sampling import SeededSampling
    from hyperfit.image.completion.complete import complete
    from hyperfit.mechanism.bias.static_bias import StaticBias
    from hyperfit.mechanism.pair.inputs import model_pair
    from hyperfit.mechanism.temperature.temperature import EntropyMatchedTemperature
    from hyperfit.models.adapt import late_stage_lora_config
    from hyperfit.planning.plan import plan
    from hyperfit.prefix.cache_prefix import cache_prefix
    from hyperfit.report.pages.mechanism import write_mechanism_page
    from hyperfit.report.pages.run import write_report
    from hyperfit.report.pages.studies import write_studies_page
    from hyperfit.runs.directory import RunDir
    from hyperfit.runs.result import load_any
    from hyperfit.studies.explain import explain
    from hyperfit.studies.run import run_studies
    from hyperfit.training.callback import HyperfitCallback
    from hyperfit.training.train import train

__version__ = "0.1.0"

__all__ = [
    "CitationBlocker",
    "CompletionSettings",
    "EntropyMatchedTemperature",
    "EvaluationSettings",
    "ExportSettings",
    "GenerationSettings",
    "HyperfitCallback",
    "MechanismSettings",
    "PlanSettings",
    "Recipe",
    "RunDir",
    "SeededSampling",
    "StaticBias",
    "StudySettings",
    "UserError",
    "cache_prefix",
    "carlsson2025",
    "complete",
    "continue_contexts",
    "evaluate",
    "explain",
    "export_run",
    "generate",
    "late_stage_lora_config",
    "li2026",
    "load_any",
    "model_pair",
    "plan",
    "run_studies",
    "smollm2",
    "smollm2_full",
    "smollm2_late_lora",
    "smollm2_lora",
    "tiny",
    "tiny_full",
    "tiny_image",
    "train",
    "write_mechanism_page",
    "write_report",
    "write_studies_page",
]

# PEFT imports bitsandbytes wherever it is installed, which then warns of a kernel that is never used here
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
# and, at every product of 8-bit weights, that what they read is rounded to float16
logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)

_LAZY = {
    "CitationBlocker": "hyperfit.generation.citations.blocking",
    "EntropyMatchedTemperature": "hyperfit.mechanism.temperature.temperature",
    "HyperfitCallback": "hyperfit.training.callback",
    "RunDir": "hyperfit.runs.directory",
    "SeededSampling": "hyperfit.generation.processors.sampling",
    "StaticBias": "hyperfit.mechanism.bias.static_bias",
    "cache_prefix": "hyperfit.prefix.cache_prefix",
    "complete": "hyperfit.image.completion.complete",
    "continue_contexts": "hyperfit.generation.continuations",
    "evaluate": "hyperfit.evaluation.evaluate",
    "explain": "hyperfit.studies.explain",
    "export_run": "hyperfit.export.export",
    "generate": "hyperfit.generation.generate",
    "late_stage_lora_config": "hyperfit.models.adapt",
    "load_any": "hyperfit.runs.result",
    "model_pair": "hyperfit.mechanism.pair.inputs",
    "plan": "hyperfit.planning.plan",
    "run_studies": "hyperfit.studies.run",
    "train": "hyperfit.training.train",
    "write_mechanism_page": "hyperfit.report.pages.mechanism",
    "write_report": "hyperfit.report.pages.run",
    "write_studies_page": "hyperfit.report.pages.studies",
}
"""Names that need torch: imported when they are first asked for, so that ``hyperfit --help`` is quick."""


if not TYPE_CHECKING:  # to which any name would then be one that there is

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name in _LAZY:
            value = globals()[name] = getattr(import_module(_LAZY[name]), name)
            return value
        raise AttributeError(f"module 'hyperfit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
