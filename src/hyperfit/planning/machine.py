"""The machine that a training is to fit."""

from dataclasses import dataclass

USABLE = 0.9
"""Of a GPU's memory: the rest goes to its context, to libraries and to gaps between tensors."""


READING = 60_000_000
"""Bytes that a training's process takes on a CPU beside those of this one: tokenizer, texts, what is imported late."""
GAPS = 0.1
"""Of all tensors, what the C library keeps beside them on a CPU; a GPU's allocator tells of tensors alone."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains."""

    gpus: int
    """0: the CPU."""
    memory: int
    """Bytes of each GPU, or of the machine."""
    program: int
    """Bytes that the program takes there before it has any tensor; 0 on a GPU."""
    rate: float | None
    """Operations a second that all GPUs reach together; None where that is not known."""

    def beside(self, tensors: int) -> int:
        """Bytes that are taken beside those of the tensors."""
        return 0 if self.gpus else self.program + READING + round(GAPS * tensors)

    @property
    def usable(self) -> int:
        """Bytes that a training may take."""
        return round(USABLE * self.memory)
