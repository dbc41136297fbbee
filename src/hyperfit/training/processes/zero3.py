"""A launch whose configuration asks for DeepSpeed: its ZeRO-3 divides what FSDP2 does, and hyperfit lets that do it."""

import json
import os
from pathlib import Path
from typing import Any

from hyperfit.errors import UserError

USE, FILE = "ACCELERATE_USE_DEEPSPEED", "ACCELERATE_DEEPSPEED_CONFIG_FILE"
ASKED = {
    "stage": "ACCELERATE_DEEPSPEED_ZERO_STAGE",
    "offload_optimizer": "ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE",
    "offload_param": "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE",
    "gradient_clipping": "ACCELERATE_GRADIENT_CLIPPING",
}
"""What accelerate's launcher hands on of its own settings of DeepSpeed → in the environment."""
STAGE = "2"
"""Of ZeRO, where none is named, as in accelerate."""
LEFT_OPEN = {"none", "auto", "false"}
ELSEWHERE = {
    "gradient_clipping": "--clip",
    "optimizer": "--lr and --weight-decay",
    "scheduler": "--lr, which stays as it is",
}
"""What a configuration may say that is said to hyperfit by a flag of its own."""


def asks_for_deepspeed() -> bool:
    """Whether accelerate's launcher was told to use it."""
    return os.environ.get(USE, "false").lower() == "true"


def asked_of_deepspeed() -> dict[str, str]:
    """What a launch asks of DeepSpeed, as far as it says; its own file, if one is named, says all.

    Raises UserError for a file that cannot be read.
    """
    file = os.environ.get(FILE, "none")
    if file.lower() == "none":
        return {name: os.environ[key].lower() for name, key in ASKED.items() if key in os.environ}
    try:
        found: Any = json.loads(Path(file).read_text(encoding="utf-8"))
        zero: dict[str, Any] = found.get("zero_optimization") or {}
        devices = {name: zero.get(name) or {} for name in ("offload_optimizer", "offload_param")}
        said = {"stage": zero.get("stage", 0), **{name: one.get("device", "none") for name, one in devices.items()}}
        said |= {name: found[name] for name in ("gradient_clipping", "gradient_accumulation_steps") if name in found}
        said |= {name: "given" for name in ("optimizer", "scheduler") if found.get(name)}
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise UserError(f"accelerate launch: --deepspeed_config_file {file}: cannot be read ({error})") from error
    return {name: str(value).lower() for name, value in said.items()}


def zero3_problems(instead: str) -> list[str]:
    """What of a launch by DeepSpeed is not what FSDP2 does, a sentence each. instead: how FSDP2 is launched."""
    if not asks_for_deepspeed():
        return []
    asked, where = asked_of_deepspeed(), "accelerate launch: its configuration asks for DeepSpeed"
    problems = []
    if (stage := asked.get("stage", STAGE)) != "3":
        problems.append(
            f"{where}, stage {stage} of ZeRO; stage 3 is taken, or {instead}, which divides the model among processes, "
            "too, as ZeRO-3 does"
        )
    problems += [
        f"{where} with {name} to {asked[name]}: has no effect here; leave it out"
        for name in ("offload_optimizer", "offload_param")
        if asked.get(name, "none") not in LEFT_OPEN
    ]
    if asked.get("gradient_accumulation_steps", "auto") not in (*LEFT_OPEN, "1"):
        problems.append(
            f"{where} with gradient_accumulation_steps {asked['gradient_accumulation_steps']}: leave it out, and give "
            "--accumulate to hyperfit"
        )
    problems += [
        f"{where} with {name} of its own: leave it out; hyperfit has {flag}"
        for name, flag in ELSEWHERE.items()
        if asked.get(name, "none") not in LEFT_OPEN
    ]
    return problems


def divide_by_fsdp2() -> None:
    """Where the launch asks for ZeRO-3, let accelerate, which reads the environment, take it as one by FSDP2."""
    if asks_for_deepspeed():
        os.environ.update({USE: "false", "ACCELERATE_USE_FSDP": "true", "FSDP_VERSION": "2"})
