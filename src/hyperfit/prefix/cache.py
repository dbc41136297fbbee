"""The prefix cache as a model reads it: stored states of the frozen blocks in the place of their computation."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from hyperfit.console import say
from hyperfit.models.structure.forward import instead, within_positions
from hyperfit.prefix.bypass import Bypass, below_the_cut, dropout_of
from hyperfit.prefix.disk.sizes import readable
from hyperfit.prefix.disk.states import States
from hyperfit.prefix.disk.store import Entry
from hyperfit.prefix.rows import Rows

UNDERSTOOD = ("input_ids", "attention_mask", "use_cache", "return_dict", "labels", "num_items_in_batch")
"""Arguments of a forward pass that may be given where stored states are used; all others must be left out."""

Say = Callable[[str], None]


class PrefixCache:
    """Stored states of a model's first ``blocks`` blocks, fed to it whenever it reads one of the stored sequences."""

    def __init__(
        self, entry: Entry, states: States, rows: Rows, bypass: Bypass, *, reused: bool, notify: Say = say
    ) -> None:
        """states: of ``rows``, opened from the entry. reused: it was found, not filled."""
        self.entry, self.states, self.rows, self.bypass = entry, states, rows, bypass
        self.reused, self.notify = reused, notify
        # modules and not their parameters: streaming replaces those, and the old ones would stay in memory
        self.below = [module for _, module in below_the_cut(bypass.model, bypass.blocks)]
        self.dropping = [module for module in self.below if dropout_of(module)]
        self.on = True
        self.missed = False
        self.served = 0
        self.attached = ExitStack()

    @property
    def blocks(self) -> int:
        """Frozen blocks whose output is stored."""
        return self.bypass.blocks

    def attach(self) -> None:
        """From now on the model reads stored sequences from the cache, and computes all others as before.

        Only whole sequences, without padding, positions or key-value cache (``use_cache=False``) are read from it.
        """
        model: Any = self.bypass.model
        compute, names = model.forward, list(inspect.signature(model.forward).parameters)

        @wraps(compute)
        def forward(*args: Any, **kwargs: Any) -> Any:
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            self.bypass.hidden = self.find(given) if self.on else None
            try:
                return compute(*args, **kwargs)
            finally:
                self.bypass.hidden = None

        ATTACHED[model] = self
        self.attached.enter_context(instead(model, forward))

    def __enter__(self) -> "PrefixCache":
        """The cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach it."""
        self.detach()

    def detach(self) -> None:
        """The model computes everything again, and is as it was; nothing where that is so already."""
        if ATTACHED.get(self.bypass.model) is not self:
            return
        self.attached.close()
        self.bypass.remove()
        self.states.close()
        ATTACHED.pop(self.bypass.model, None)

    def find(self, given: dict[str, Any]) -> Tensor | None:
        """The states for the arguments of a forward pass, on the ids' device; None if it must be computed."""
        ids, mask, config = given.get("input_ids"), given.get("attention_mask"), self.bypass.model.config
        others = [value for name, value in given.items() if name not in UNDERSTOOD]
        if ids is None or ids.shape[1] != self.rows.ids.shape[1] or given.get("use_cache") is not False:
            return None
        if any(value is not None and value is not False for value in others):
            return None
        if config.output_hidden_states or config.output_attentions:
            return None
        if mask is not None and not (isinstance(mask, Tensor) and mask.dim() == 2 and bool(mask.all())):
            return None
        if any(p.requires_grad for module in self.below for p in module.parameters(recurse=False)):
            return None
        if any(module.training for module in self.dropping):
            return None
        rows = self.rows.find(ids)
        if rows is None:
            if not self.missed:
                self.missed = True
                self.notify("a sequence is not in the prefix cache (did the data change?); such batches run uncached")
            return None
        self.served += 1
        return self.states.read(rows).to(ids.device)

    def expect(self, ids: Tensor) -> None:
        """Have the states of int64[batch, length] sequences read from the disk meanwhile."""
        self.states.expect(self.rows.find(within_positions(self.bypass.model, ids)) or [])

    @contextmanager
    def off(self) -> Iterator[None]:
        """Compute everything inside the block."""
        self.on = False
        try:
            yield
        finally:
            self.on = True

    def saving(self) -> str:
        """What it has saved so far, in one line for people."""
        fill = self.entry.about["fill"]
        each, spent = fill["seconds"] / fill["batches"], 0.0 if self.reused else fill["seconds"]
        saved = max(0.0, self.served * each - spent)
        filled = f", less {spent:.1f} s to fill it" if spent else ""
        return (
            f"prefix cache: saved about {saved:.0f} s ({self.served} passes without blocks 0–{self.blocks - 1}, "
            f"{each:.3f} s each{filled})"
        )

    def describe(self) -> str:
        """One line for people."""
        fill, size = self.entry.about["fill"], self.entry.about["states"]["bytes"]
        how = "found" if self.reused else f"filled in {fill['seconds']:.1f} s"
        return (
            f"prefix cache: blocks 0–{self.blocks - 1} over {len(self.rows.ids)} sequences, {readable(size)}, {how}; "
            f"{self.entry.path}"
        )


ATTACHED: "WeakKeyDictionary[torch.nn.Module, PrefixCache]" = WeakKeyDictionary()
"""The cache that each model reads from; there is one at most."""
