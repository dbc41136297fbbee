"""Tensors in the files of a checkpoint: in one file, or, of a model that is divided, in a file a process, by rows."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

from hyperfit.training.processes.sharding import first_row, own_rows


def piece_name(process: int, processes: int) -> str:
    """The file of a process, of so many that each write one; their order by name is that of the rows."""
    return "state.safetensors" if processes == 1 else f"state-{process + 1:05}-of-{processes:05}.safetensors"


class Pieces:
    """Tensors of which each file may hold some rows, those of the first file first."""

    def __init__(self, files: list[Any]) -> None:
        """files: as safetensors opens them."""
        self.files = files
        self.names = {name for file in files for name in file.keys()}  # noqa: SIM118  # it is no dict

    def whole(self, name: str) -> Tensor:
        """A tensor that lies in one file, or equal in all."""
        tensor: Tensor = next(file for file in self.files if name in file.keys()).get_tensor(name)  # noqa: SIM118
        return tensor

    def read_into(self, name: str, tensor: Tensor) -> None:
        """Put its values into a tensor, of one that is divided into the rows that this process holds."""
        wanted = own_rows(tensor)
        with torch.no_grad():
            if not wanted.ndim:
                wanted.copy_(self.whole(name))
                return
            start, begin = first_row(tensor), 0
            for file in self.files:
                piece = file.get_slice(name)
                end = begin + piece.get_shape()[0]
                low, high = max(start, begin), min(start + len(wanted), end)
                if low < high:
                    wanted[low - start : high - start].copy_(piece[low - begin : high - begin])
                begin = end


@contextmanager
def opened(folder: Path) -> Iterator[Pieces]:
    """The pieces in a folder."""
    with ExitStack() as stack:
        yield Pieces([stack.enter_context(safe_open(path, "pt")) for path in sorted(folder.glob("state*.safetensors"))])
