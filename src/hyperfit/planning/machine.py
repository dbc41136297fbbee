"""The machine that a training is to fit."""

from dataclasses import dataclass

USABLE = 0.9
"""Of a GPU's memory: the rest goes to its context, to libraries and to gaps between tensors."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What trains."""

    gpus: int
    """0: the CPU."""
    memory: int
    """Bytes of each GPU, or of the machine."""
    program: int
    """Bytes that the program itself takes there, its libraries included; 0 on a GPU."""
    rate: float | None
    """Operations a second that all GPUs reach together; None where that is not known."""

    @property
    def usable(self) -> int:
        """Bytes that a training may take."""
        return round(USABLE * self.memory)
