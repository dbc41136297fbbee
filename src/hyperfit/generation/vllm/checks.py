"""What stands in the way of vLLM: said before anything is loaded."""

import json
from pathlib import Path
from typing import Any

import torch

from hyperfit.errors import UserError, collecting
from hyperfit.generation.vllm.engine import RANKS, vllm_package
from hyperfit.models.files.quantized import is_quantized
from hyperfit.recipes.recipe import Precision
from hyperfit.runs.directory import RunDir

DEVICES = ("cuda",)
"""Where it is asked to write."""
ADAPTED_IN = ("bf16",)
"""How it computes adapters: its kernels for them are of 16 bits."""


def check_machine(device: torch.device, named: str) -> None:
    """Raises UserError where vLLM is not installed, or has no GPU to write on. named: the device as the user has it."""
    problems = list[str]()
    if device.type not in DEVICES:
        problems.append(
            f"--backend vllm: writes on a CUDA GPU, and --device {named} is {device.type} here; give --device cuda "
            "where there is one, or leave --backend out"
        )
    if device.index:
        problems.append(
            f"--device {named}: vLLM writes on the first GPU that it sees; set CUDA_VISIBLE_DEVICES={device.index} and "
            "give --device cuda, or leave --backend out"
        )
    with collecting(problems):
        vllm_package()
    if problems:
        raise UserError(*problems)


def check_model(run: RunDir, config: Any, device: torch.device, precision: Precision) -> None:
    """Raises UserError for a run of which vLLM would compute something else. config: the base model's."""
    problems, recipe = list[str](), run.recipe
    if is_quantized(config):
        problems.append(
            f"the weights of {recipe.model} are quantized, and it does not compute with such weights as training did;"
        )
    if recipe.adapters and recipe.rank > RANKS[-1]:
        problems.append(f"takes adapters up to rank {RANKS[-1]}, and this run's have {recipe.rank};")
    if recipe.adapters and on_experts(run.path / "adapter"):
        problems.append("reads adapters on experts that are held as one tensor, as this run's are, in another form;")
    if recipe.adapters and device.type in DEVICES and precision not in ADAPTED_IN:
        problems.append(f"computes adapters in 16 bits, and --precision is {precision} here; give --precision bf16, or")
    if problems:
        raise UserError(*(f"--backend vllm: {problem} leave --backend out" for problem in problems))


def on_experts(adapter: Path) -> bool:
    """Whether an adapter changes parameters that are no layers; False where its folder cannot be read."""
    try:
        config = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8"))
        return bool(config.get("target_parameters"))
    except (OSError, ValueError, AttributeError, RecursionError):  # of which loading it will tell
        return False
