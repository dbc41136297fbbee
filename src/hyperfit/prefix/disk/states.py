"""Hidden states in a file: written in pieces, read back through a memory map."""

import math
import mmap
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from hyperfit.prefix.disk.locks import hold


def type_name(dtype: torch.dtype) -> str:
    """An element type as files name it, such as bfloat16."""
    return str(dtype).removeprefix("torch.")


def bytes_of(tensor: Tensor) -> memoryview:
    """A tensor's values as they lie in memory."""
    values: Any = tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
    return memoryview(values).cast("B")


class States:
    """dtype[rows, length, ...] in a file of that many bytes. What has been read is not kept in memory.

    Until it is closed the file counts as in use (``hyperfit.prefix.disk.locks``), and its cache is not evicted.
    """

    def __init__(self, file: Path, shape: tuple[int, ...], dtype: torch.dtype, *, access: int = os.O_RDONLY) -> None:
        self.shape, self.dtype = shape, dtype
        self.row_bytes = math.prod(shape[1:]) * dtype.itemsize
        self.handle = os.open(file, access)
        hold(self.handle)
        size = shape[0] * self.row_bytes
        # a private map: torch wants memory it could write to, and what it wrote would never reach the file
        self.map = mmap.mmap(self.handle, size, access=mmap.ACCESS_COPY)
        self.tensor = torch.frombuffer(self.map, dtype=dtype).view(shape)

    @classmethod
    def create(cls, file: Path, shape: tuple[int, ...], dtype: torch.dtype) -> "States":
        """A file for states that are still to be written."""
        with file.open("wb") as new:
            new.truncate(math.prod(shape) * dtype.itemsize)
        return cls(file, shape, dtype, access=os.O_RDWR)

    def read(self, rows: Sequence[int]) -> Tensor:
        """dtype[len(rows), length, ...]: a copy, on the CPU."""
        states = self.tensor[list(rows)]
        if hasattr(mmap, "MADV_DONTNEED"):  # the pages stay in the system's cache, but are no longer ours
            self.map.madvise(mmap.MADV_DONTNEED)
        return states

    def expect(self, rows: Sequence[int]) -> None:
        """Let the system read rows from the disk meanwhile; they will be asked for soon."""
        if hasattr(mmap, "MADV_WILLNEED"):
            for row in rows:
                start = row * self.row_bytes // mmap.PAGESIZE * mmap.PAGESIZE
                self.map.madvise(mmap.MADV_WILLNEED, start, (row + 1) * self.row_bytes - start)

    def write(self, start: int, states: Tensor) -> None:
        """Put dtype[any, length, ...] at row ``start`` and those after it."""
        assert states.dtype == self.dtype
        assert states.shape[1:] == self.shape[1:]
        data = bytes_of(states)
        offset = start * self.row_bytes
        while data:
            written = os.pwrite(self.handle, data, offset)
            data, offset = data[written:], offset + written

    def __enter__(self) -> "States":
        """The states themselves."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close file and map."""
        self.close()

    def close(self) -> None:
        """Let go of file and map."""
        del self.tensor
        self.map.close()
        os.close(self.handle)
