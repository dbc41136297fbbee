"""How a launcher starts a training: as how many processes, on which devices, the model whole or divided among them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import torch.distributed as dist
from accelerate import Accelerator

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import CacheMode, Recipe
from hyperfit.training.processes.zero3 import zero3_problems

LAUNCH_WHOLE = "accelerate launch --multi_gpu"
"""How a training is started in which every process holds the whole model."""
LAUNCH_FSDP2 = "accelerate launch --use_fsdp --fsdp_version 2"
"""How a training is started whose model is divided among the processes."""
FSDP2 = f"{LAUNCH_FSDP2} (with torchrun: ACCELERATE_USE_FSDP=true FSDP_VERSION=2)"
OTHERS = {"megatron_lm": "Megatron-LM"}
"""What else accelerate can be told to use, and hyperfit does not."""
ACCUMULATION = "ACCELERATE_GRADIENT_ACCUMULATION_STEPS"
PATIENCE = timedelta(hours=12)
"""How long a process waits for the others, of which one may read weights, hash checkpoints or write texts alone."""
UNUSED = {
    "FSDP_OFFLOAD_PARAMS": "fsdp_offload_params",
    "FSDP_ACTIVATION_CHECKPOINTING": "fsdp_activation_checkpointing",
}
"""What of FSDP in the environment would change how much memory is held, and is not heeded; its names in files."""


def asked(name: str) -> bool:
    """Whether accelerate's launcher has said yes to something in the environment."""
    return os.environ.get(name, "false").lower() == "true"


def check_launch() -> None:
    """Raises UserError for a launch in which the model is to be divided as FSDP2 does not do it."""
    problems = [
        f"accelerate launch: its configuration asks for {name}, which hyperfit does not run under; {FSDP2} divides the "
        "model among processes, too, as ZeRO-3 does"
        for key, name in OTHERS.items()
        if asked(f"ACCELERATE_USE_{key.upper()}")
    ]
    problems += zero3_problems(FSDP2)
    if os.environ.get(ACCUMULATION, "1") != "1":
        problems.append(
            f"accelerate launch: --gradient_accumulation_steps {os.environ[ACCUMULATION]}: would divide gradients once "
            "more; leave it out, and give --accumulate to hyperfit"
        )
    if asked("ACCELERATE_USE_FSDP"):
        if (version := os.environ.get("FSDP_VERSION", "1")) != "2":
            problems.append(f"accelerate launch: its configuration asks for version {version} of FSDP; give {FSDP2}")
        problems += [
            f"accelerate launch: {flag} true: has no effect here; leave it out"
            for key, flag in UNUSED.items()
            if asked(key)
        ]
    if problems:
        raise UserError(*problems)


def check_processes(accelerator: Accelerator) -> None:
    """Raises UserError where accelerate does not see the others that were launched: each would train by itself."""
    launched = int(os.environ.get("WORLD_SIZE", "1"))
    if launched > accelerator.num_processes:
        raise UserError(
            f"{launched} processes were launched, and accelerate finds no GPU to run them on; for processes on a CPU "
            "set ACCELERATE_USE_CPU=true"
        )


def divided() -> bool:
    """Whether the model is to be divided among the processes that were launched."""
    return asked("ACCELERATE_USE_FSDP") and dist.is_initialized()


def undividable(recipe: Recipe, prefix_cache: CacheMode, *, streaming: bool = False) -> list[str]:
    """What of a training does not go with a model that is divided among processes, a sentence each."""
    problems = []
    if recipe.adapters:
        problems.append(
            f"--method {recipe.method}: FSDP divides what learns, and adapters are small; launch with --multi_gpu, "
            "where every process holds the whole model, or give --method full or late-full"
        )
    if prefix_cache == "required":
        problems.append("--prefix-cache required: there is none of a model that FSDP divides; launch with --multi_gpu")
    if streaming:
        problems.append(
            "--streaming: does not go with a model that FSDP divides; leave it out, or launch with --multi_gpu"
        )
    if recipe.compile:
        problems.append(
            "--compile: does not go with a model that FSDP divides; leave it out, or launch with --multi_gpu"
        )
    return problems


def device_of(recipe: Recipe, accelerator: Accelerator) -> str:
    """The recipe's device; of several processes each has its own. Raises UserError for one of another kind."""
    if accelerator.num_processes == 1:
        return recipe.device
    if recipe.device != "auto" and recipe.device.partition(":")[0] != accelerator.device.type:
        raise UserError(
            f"--device {recipe.device}: this launch has its processes on {accelerator.device.type}; leave it out, or "
            "set ACCELERATE_USE_CPU=true for the CPU"
        )
    return str(accelerator.device)


@contextmanager
def telling_of_lost(run: Path, processes: int) -> Iterator[None]:
    """Raises UserError in place of what torch raises where one of several processes has ended before its time."""
    try:
        yield
    except RuntimeError as error:
        if processes > 1 and (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise UserError(
                f"{run}: another process of this training has ended before its time; repeat the command with --resume, "
                "which goes on from the newest checkpoint"
            ) from error
        raise
