"""Trainings in several real processes of torchrun, on a CPU, as a launcher that asks for FSDP2 starts them."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hyperfit.recipes.recipe import Recipe

CHILD = """
import json, os, signal, sys
from pathlib import Path
import torch
from hyperfit.recipes.recipe import Recipe
from hyperfit.training.loop import Loop
from hyperfit.training.train import train

real, adam = Loop.update, torch.optim.AdamW

def descent(parameters, fused, **settings):  # torch has no fused one for tensors that are divided
    return torch.optim.SGD(parameters, **settings)

for job in json.loads(Path(sys.argv[1]).read_text()):
    torch.optim.AdamW = descent if job["plain"] else adam

    def update(loop, *arguments):
        if job["at"] == loop.state.update and loop.accelerator.process_index == 1:
            os.kill(os.getpid(), job["signal"])
        return real(loop, *arguments)

    Loop.update = update
    try:
        train(Recipe.from_dict(job["recipe"]), Path(job["run"]), resume=True, notify=lambda line: None)
    except KeyboardInterrupt:
        pass
"""


def job(recipe: Recipe, run: Path, *, plain: bool = False, at: int = -1, signal: int = 0) -> dict[str, Any]:
    """A training to begin or to go on with. signal: what the second process sends itself before update ``at``.

    plain: by gradient descent. Adam does not see the scale of gradients; there a wrong scale shows.
    """
    return {"recipe": recipe.to_dict(), "run": str(run), "plain": plain, "at": at, "signal": signal}


def launch(folder: Path, processes: int, jobs: list[dict[str, Any]]) -> "subprocess.CompletedProcess[str]":
    """The trainings one after the other, in the same processes, each with one thread."""
    folder.mkdir()
    (folder / "child.py").write_text(CHILD)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    asked = {"ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2", "OMP_NUM_THREADS": "1"}
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    return subprocess.run(
        [*launcher, str(folder / "child.py"), str(folder / "jobs.json")],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
    )
