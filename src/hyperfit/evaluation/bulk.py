"""The conditions of an evaluation that vLLM writes, in bulk and before any other model is loaded."""

from collections.abc import Sequence
from importlib.metadata import version

from hyperfit.console import say
from hyperfit.evaluation.checks import CheckedEvaluation
from hyperfit.evaluation.conditions import Condition
from hyperfit.generation.vllm.engine import Asked, Engine, vllm_package, write_texts
from hyperfit.generation.vllm.parameters import vllm_parameters
from hyperfit.models.files.folders import model_folder
from hyperfit.models.structure.ends import end_tokens_of
from hyperfit.runs.directory import RunDir


def by_vllm(condition: Condition) -> bool:
    """Whether vLLM writes a condition as transformers does; citations are blocked by transformers alone."""
    return not condition.blocked and vllm_parameters(condition.decoding) is not None


def bulk_texts(run: RunDir, checked: CheckedEvaluation, conditions: Sequence[Condition]) -> dict[str, list[list[int]]]:
    """Condition → continuations of all contexts, of those that vLLM writes; empty where it is not asked to.

    An adapter's base model is loaded once and writes for both; a model that was trained whole comes after its base,
    when that has left the GPU.
    """
    if checked.settings.backend != "vllm":
        return {}
    mine = [one for one in conditions if by_vllm(one)]
    if others := [one.name for one in conditions if not by_vllm(one)]:
        say(f"vLLM does not do the same for {', '.join(others)}: transformers writes these")
    adapter = run.result if run.recipe.adapters else None
    base = model_folder(run.recipe.model)
    models = {"base": base, "hyperfitted": base if adapter else str(run.result)}
    found = dict[str, list[list[int]]]()
    for model in dict.fromkeys(models.values()):
        found |= write_texts(
            Engine(
                model=model,
                precision=checked.precision,
                adapter=adapter,
                rank=run.recipe.rank,
                batch_size=checked.settings.batch_size,
            ),
            {
                one.name: Asked(one.decoding, adapted=adapter is not None and one.model == "hyperfitted")
                for one in mine
                if models[one.model] == model
            },
            checked.texts.contexts,
            new_tokens=checked.texts.new_tokens,
            ends=end_tokens_of(model, checked.tokenizer),
            seed=checked.settings.seed,
        )
    return found


def writer_of(condition: Condition, backend: str) -> str:
    """What wrote a condition's texts, with its version: vllm 0.33.0, or transformers 5.23.0."""
    if backend == "vllm" and by_vllm(condition):
        return f"vllm {vllm_package().__version__}"
    return f"transformers {version('transformers')}"
