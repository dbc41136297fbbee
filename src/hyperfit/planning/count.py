"""Memory and operations of what runs inside a block, counted as torch calls its kernels."""

from collections.abc import Iterable
from typing import Any
from weakref import finalize

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

ATEN = torch.ops.aten
ALIKE = {
    ATEN._scaled_dot_product_flash_attention_for_cpu: ATEN._scaled_dot_product_flash_attention,
    ATEN._scaled_dot_product_flash_attention_for_cpu_backward: ATEN._scaled_dot_product_flash_attention_backward,
}
"""Kernels whose operations torch does not count → one that does the same, its arguments in the same order."""


class Count(TorchDispatchMode):
    """Counts, while it is entered, the bytes that are held at once and the operations that are done.

    Works on tensors with values and without (torch's fake tensors). A storage counts once, whatever views there are,
    until it is let go.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.held = 0
        """Bytes of all storages that are alive and were seen."""
        self.peak = 0
        """Most bytes held at once since the beginning, or since ``forget_peak``."""
        self.operations = 0
        """Multiplications and additions of matrix products and attention; others are few beside them."""
        self._sizes: dict[int, int] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Call the kernel, and count what it does and gives."""
        result = func(*args, **(kwargs or {}))
        packet = ALIKE.get(func._overloadpacket, func._overloadpacket)
        if packet in flop_registry:
            self.operations += flop_registry[packet](*args, **(kwargs or {}), out_val=result)
        self.see(one for one in tree_leaves(result) if isinstance(one, Tensor))
        return result

    def see(self, tensors: Iterable[Tensor]) -> None:
        """Count tensors that came from before; those on the meta device take no memory."""
        for tensor in tensors:
            storage = tensor.untyped_storage()
            place = storage._cdata
            if place in self._sizes or tensor.is_meta:
                continue
            self._sizes[place] = storage.nbytes()
            self.held += self._sizes[place]
            self.peak = max(self.peak, self.held)
            finalize(storage, self._let_go, place)

    def _let_go(self, place: int) -> None:
        self.held -= self._sizes.pop(place)

    def forget_peak(self) -> None:
        """Count the peak from now on."""
        self.peak = self.held
