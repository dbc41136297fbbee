"""The most memory that training has taken, as the system counts it."""

import ctypes
from contextlib import suppress
from pathlib import Path

import torch


def forget_peak(device: torch.device) -> None:
    """Count from now on, without what is freed and not yet given back, as after an earlier training."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError, AttributeError):  # elsewhere than in glibc nothing gives it back
        ctypes.CDLL(None).malloc_trim(0)
    with suppress(OSError):  # elsewhere than on Linux peak_memory knows nothing
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory(device: torch.device) -> int | None:
    """Bytes at the peak since ``forget_peak``: of a GPU what was allocated there, else this process's resident memory.

    The base model, and what of files is mapped and was read, count. None where the system does not tell.
    """
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)
