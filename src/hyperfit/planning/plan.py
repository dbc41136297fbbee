"""What fits a machine, how long an epoch takes, and the line that starts it."""

from dataclasses import dataclass, replace
from typing import Any, get_args

import psutil
import torch

from hyperfit.console import progress
from hyperfit.errors import UserError, collecting, naming
from hyperfit.models.adapt import check_depth
from hyperfit.models.devices import memory_of, pick_precision
from hyperfit.models.files.quantized import is_quantized
from hyperfit.models.loading import load_config
from hyperfit.models.structure.layout import positions_of
from hyperfit.planning.machine import Machine
from hyperfit.planning.options import Option, Planner
from hyperfit.planning.quantized import check_counted
from hyperfit.planning.settings import A100, PlanSettings
from hyperfit.recipes.defaults import filled_in
from hyperfit.recipes.recipe import Method, Recipe
from hyperfit.training.checks import with_quantized

QUANTIZED = "late-full, full and --streaming are left out: quantized weights cannot learn, nor be read block by block"
"""Said of a model whose weights are."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What ``hyperfit plan`` found."""

    model: str
    precision: str
    machine: Machine
    options: tuple[Option, ...]
    left_out: str
    """Which ways to train are not among them, and why; nothing where all are."""


def plan(settings: PlanSettings) -> Plan:
    """Rehearse every way to train and set it beside the machine. Raises UserError for every problem with the input."""
    with naming("MODEL"):
        config = load_config(settings.model, weights=False)
    check(settings, config)
    machine = machine_of(settings)
    precision = "bf16" if settings.gpus and settings.precision == "auto" else settings.precision
    precision = pick_precision(precision, torch.device("cpu"))
    every = [settings.recipe(method) for method in ([settings.method] if settings.method else get_args(Method))]
    fit = [one for one in every if not (is_quantized(config) and with_quantized(one, streaming=False))]
    found: list[Option] = []
    left_out = QUANTIZED if is_quantized(config) else ""
    with progress("rehearsing", len(fit)) as advance:
        for one in fit:
            recipe = resolved(replace(one, precision=precision), config)
            found += Planner(config, machine, settings.precision).options(recipe)
            advance(1)
    return Plan(model=settings.model, precision=precision, machine=machine, options=tuple(found), left_out=left_out)


def check(settings: PlanSettings, config: Any) -> None:
    """Raises UserError for what the model cannot do."""
    problems: list[str] = []
    text = config.get_text_config(decoder=True)
    with collecting(problems):
        check_depth(replace(settings.recipe("late-lora"), late_blocks=settings.late_blocks), text.num_hidden_layers)
    if settings.rank > text.hidden_size:
        problems.append(f"--rank {settings.rank}: more than the model's width; give at most {text.hidden_size}")
    if (most := positions_of(text)) and settings.length > most:
        problems.append(f"--length {settings.length}: {settings.model} knows {most} positions; give at most {most}")
    with collecting(problems):
        check_counted(f"MODEL {settings.model}", config)
    if is_quantized(config) and settings.method:
        problems += with_quantized(settings.recipe(settings.method), streaming=False)
    if settings.late_blocks is not None and settings.method in ("lora", "full"):
        problems.append(f"--late-blocks {settings.late_blocks}: has no effect with --method {settings.method}")
    if problems:
        raise UserError(*problems)


def resolved(recipe: Recipe, config: Any) -> Recipe:
    """The recipe with late blocks and rate filled in."""
    text = config.get_text_config(decoder=True)
    return filled_in(recipe, text.num_hidden_layers, text.hidden_size)


def machine_of(settings: PlanSettings) -> Machine:
    """The machine that the settings speak of."""
    tflops = settings.tflops if settings.tflops or not settings.gpus else A100
    return Machine(
        gpus=settings.gpus,
        memory=round(settings.gpu_memory * 1e9) if settings.gpus else memory_of(torch.device("cpu")),
        program=0 if settings.gpus else psutil.Process().memory_info().rss,
        rate=tflops and tflops * 1e12 * settings.utilisation * max(settings.gpus, 1),
    )
