"""Where a model computes, and how precisely."""

import platform

import torch

from hyperfit.errors import UserError
from hyperfit.recipes.recipe import Precision

LOGITS_AT_ONCE = 2**22
"""Most logits held at a time: 16 MB in fp32, which was also the quickest (LAB.md)."""


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, then MPS, then the CPU. Raises UserError for a device that is not there."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # a device that holds no numbers, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(f"--device {name}: not to be had here ({reason}); give cpu or auto") from error
    return device


def device_name(device: torch.device) -> str:
    """The kind of processor."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{platform.processor() or platform.machine()} {torch.backends.cpu.get_cpu_capability()}"


def fast_bf16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported())
    return False


def pick_precision(precision: Precision, device: torch.device, *, evaluating: bool = False) -> Precision:
    """bf16 or fp32; ``auto`` is bf16 where the device is fast at it, but fp32 for evaluation on the CPU."""
    if precision != "auto":
        return precision
    if evaluating and device.type == "cpu":
        return "fp32"
    return "bf16" if fast_bf16(device) else "fp32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """bfloat16 arithmetic under bf16, nothing under fp32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")
