"""Where a model computes, and how precisely."""

import platform

import psutil
import torch

from hyperfit.errors import UserError, first_line
from hyperfit.recipes.recipe import Precision

CACHED_LOGITS = 2**22
"""Logits that a chunk may hold however few positions it needs: 16 MB in fp32, the quickest of small vocabularies."""
FROZEN_POSITIONS = 128
"""In a chunk, for its products to outweigh reading a head that is frozen; see ``positions_at_once``."""
LEARNING_POSITIONS = 2 * FROZEN_POSITIONS
"""The same for a head that learns."""
ACCELERATION = 16
"""An accelerator's operations in the time of a byte, over those of a CPU's core: from data sheets, not measured."""
LOGIT_BYTES = 16
"""Of a logit, its logarithm, its gradient and a copy, in fp32."""
LOGITS_SHARE = 1 / 16
"""Of the device's memory, for the logits of a chunk."""


def positions_at_once(vocabulary: int, device: torch.device, *, learns: bool = False) -> int:
    """Positions whose logits are made together, at least 1, where a whole batch's would take too much memory.

    learns: whether the head's gradient is taken too. With a frozen head of vocabulary x width weights a chunk makes two
    products, the logits and the gradient of the states, and reads the weights for each. A head that learns has a third
    product, which is written, read, and added to a sum that is read and written: 6 passes over memory for 3 products,
    not 2 for 2. A product costs 2 operations a weight and position, a pass 4 bytes a weight, whatever vocabulary and
    width. A core does about 6 operations in the time of a byte, so that with 128 positions of a frozen head, or 256 of
    one that learns, memory takes about a tenth of the products' time (benchmarks/loss.py). More would gain little and
    push the logits further out of the cache; while there are fewer than ``CACHED_LOGITS``, more cost nothing. The bound
    is a share of all the device's memory and not of what is free at the moment: the number of positions sets the order
    of additions, and the same command is to give the same bits.
    """
    return positions_within(memory_of(device), vocabulary, accelerator=device.type != "cpu", learns=learns)


def positions_within(memory: int, vocabulary: int, *, accelerator: bool, learns: bool) -> int:
    """``positions_at_once`` on a device with so many bytes of memory."""
    worth = (LEARNING_POSITIONS if learns else FROZEN_POSITIONS) * (ACCELERATION if accelerator else 1)
    room = int(LOGITS_SHARE * memory / LOGIT_BYTES)
    return max(1, min(max(worth, CACHED_LOGITS // vocabulary), room // vocabulary))


def memory_of(device: torch.device) -> int:
    """Bytes of memory the device has, free or not."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return int(psutil.virtual_memory().total)


def pick_device(name: str) -> torch.device:
    """``auto`` is CUDA, then MPS, then the CPU. Raises UserError for a device that is not there."""
    if name == "auto":
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
        torch.ones(1, device=device).item()  # a device that holds no numbers, such as meta, fails here
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = first_line(error)
        raise UserError(f"--device {name}: not to be had here ({reason}); give cpu or auto") from error
    return torch.device("cpu") if device.type == "cpu" else device  # cpu:1 is no other, and torch takes it for one


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
