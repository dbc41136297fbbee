"""Trainings in several real processes of torchrun, on a CPU, as a launcher starts them that asks for FSDP2 or not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hyperfit.recipes.recipe import Recipe

PATIENCE = 400.0
"""Seconds after which a launch is ended that has not come to its end."""

CHILD = """
import errno, json, os, signal, sys, time
from pathlib import Path
import torch
from hyperfit.errors import UserError
from hyperfit.prefix.cache import PrefixCache
from hyperfit.prefix.plan import Plan
from hyperfit.recipes.recipe import Recipe
from hyperfit.training import probes
from hyperfit.training.loop import Loop
from hyperfit.training.train import train

probes.TTR_WINDOW = 24  # as in the process of the tests
rank = int(os.environ["RANK"])
update, adam, run, find, pwrite = Loop.update, torch.optim.AdamW, Plan.run, PrefixCache.find, os.pwrite

def descent(parameters, fused, **settings):  # torch has no fused one for tensors that are divided
    return torch.optim.SGD(parameters, **settings)

def full(*given):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

def off_by_a_bit(cache, given):
    states = find(cache, given)
    if states is not None:
        states.view(torch.int32)[0, -2, 0] ^= 1
    return states

for job in json.loads(Path(sys.argv[1]).read_text()):
    torch.optim.AdamW = descent if job["plain"] else adam
    os.pwrite = full if job["fault"] == "full" and rank == 1 else pwrite
    PrefixCache.find = off_by_a_bit if job["fault"] == "wrong" and rank == 1 else find
    computed = Path(f"{job['run']}-computed-{rank}")

    def updated(loop, *arguments):
        if job["at"] == loop.state.update and loop.accelerator.process_index == 1:
            os.kill(os.getpid(), job["signal"])
        return update(loop, *arguments)

    def ran(plan, bypass, rows, *given):
        if rank and not computed.exists():
            time.sleep(0.3)  # the first process is done long before the others
        elif rank == 1 and job["fault"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif rank == 1 and job["fault"] == "bug":
            raise ValueError("a bug")
        with computed.open("a") as lines:
            print(rows.start, file=lines)
        return run(plan, bypass, rows, *given)

    Loop.update, Plan.run = updated, ran
    try:
        train(Recipe.from_dict(job["recipe"]), Path(job["run"]), resume=True, notify=lambda line: None, **job["how"])
    except KeyboardInterrupt:
        pass
    except UserError as error:
        if job["fault"] != "full":
            raise
        Path(f"{job['run']}-told-{rank}").write_text(str(error))
"""


def job(
    recipe: Recipe, run: Path, *, plain: bool = False, at: int = -1, signal: int = 0, fault: str = "", **how: Any
) -> dict[str, Any]:
    """A training to begin or to go on with. signal: what the second process sends itself before update ``at``.

    plain: by gradient descent. Adam does not see the scale of gradients; there a wrong scale shows. fault: what comes
    over the second process while it fills the prefix cache: a full disk, which is told in RUN-told-RANK; killed; bug;
    or wrong, what it reads there. how: arguments of ``train``. The first rows of the batches that a process computed
    for the cache are left in RUN-computed-RANK.
    """
    how = {name: str(value) if isinstance(value, Path) else value for name, value in how.items()}
    told = {"recipe": recipe.to_dict(), "run": str(run), "how": how}
    return {**told, "plain": plain, "at": at, "signal": signal, "fault": fault}


def launch(
    folder: Path, processes: int, jobs: list[dict[str, Any]], *, divided: bool = True, zero3: bool = False
) -> "subprocess.CompletedProcess[str]":
    """The trainings one after the other, in the same processes, each with one thread.

    divided: by FSDP2. zero3: which is asked for as accelerate asks for DeepSpeed.
    """
    folder.mkdir()
    (folder / "child.py").write_text(CHILD)
    (folder / "jobs.json").write_text(json.dumps(jobs))
    asked = {"ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": str(divided).lower(), "FSDP_VERSION": "2"}
    if zero3:
        asked = {
            "ACCELERATE_USE_CPU": "true",
            "ACCELERATE_USE_DEEPSPEED": "true",
            "ACCELERATE_DEEPSPEED_ZERO_STAGE": "3",
            "ACCELERATE_DEEPSPEED_ZERO3_INIT": "true",
            "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE": "none",
        }
    launcher = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={processes}", "--standalone"]
    process = subprocess.Popen(
        [*launcher, str(folder / "child.py"), str(folder / "jobs.json")],
        env={**os.environ, **asked, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _, said = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:  # they wait for each other; killed, the launcher would leave them so
        process.terminate()
        _, said = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, "", said)
