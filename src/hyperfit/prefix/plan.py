"""What a prefix cache is to hold: which states, all that they depend on, and how they are found or filled."""

import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.console import Advance, progress
from hyperfit.errors import UserError
from hyperfit.models.devices import autocast, device_name
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import hidden_at
from hyperfit.models.structure.layout import layout_of
from hyperfit.prefix.bypass import Bypass, below_the_cut, buffers_of
from hyperfit.prefix.cache import PrefixCache, Say
from hyperfit.prefix.disk.states import States, bytes_of, type_name
from hyperfit.prefix.disk.store import Entry
from hyperfit.prefix.fill import open_or_fill
from hyperfit.prefix.processes import ALONE, Processes
from hyperfit.prefix.rows import Rows
from hyperfit.recipes.recipe import Precision

FORMAT = 1
"""Rises when the meaning of the file changes."""

UNIMPORTANT = {"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}
"""What a model's config says that its arithmetic does not depend on."""

Fill = Callable[[States, Bypass, Advance], None]


@dataclass(frozen=True)
class Plan:
    """What is to be stored: the output of a model's first ``frozen`` blocks for some sequences."""

    model: PreTrainedModel
    frozen: int
    rows: Rows
    batch_size: int
    """Sequences of every forward pass."""
    precision: Precision
    """bf16: under autocast."""
    device: torch.device
    processes: Processes = ALONE
    """Those that fill it together, each some of the batches."""

    @property
    def share(self) -> Sequence[range]:
        """The rows of each batch that this process computes: as one process would make the batches, so that bits agree.

        None at all where there are fewer batches than processes.
        """
        return self.processes.share(self.rows.batches(self.batch_size))

    @property
    def shape(self) -> tuple[int, ...]:
        """(sequences, length, *states): width alone, but for a few models."""
        return (*self.rows.ids.shape, *layout_of(self.model).states)

    @property
    def size(self) -> int:
        """Bytes on disk: states have the type of the model's weights."""
        return math.prod(self.shape) * self.model.dtype.itemsize

    def key(self, weights: str) -> dict[str, Any]:
        """All that the states depend on, rounding included; ``weights``: a digest of the frozen tensors."""
        config = {name: value for name, value in self.model.config.to_dict().items() if name not in UNIMPORTANT}
        return {
            "format": FORMAT,
            "weights": weights,
            "config": hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest(),
            "blocks": self.frozen,
            "sequences": self.rows.fingerprint,
            "shape": list(self.shape),
            "batch_size": self.batch_size,
            "dtype": type_name(self.model.dtype),
            "precision": self.precision,
            "attention": self.model.config._attn_implementation,
            "experts": self.model.config._experts_implementation,
            "fp32_products": torch.get_float32_matmul_precision(),
            "device": self.device.type,
            "device_name": device_name(self.device),
            "threads": torch.get_num_threads() if self.device.type == "cpu" else None,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def open(
        self,
        folder: Path,
        tensors: Iterable[tuple[str, Tensor]],
        fill: Fill,
        *,
        passes: int,
        limit: int,
        notify: Say,
        right: Callable[[States, Bypass], bool] = lambda states, bypass: True,
    ) -> PrefixCache:
        """The cache, found or filled, attached to the model.

        tensors: name and values of all frozen weights; buffers are added to them. fill: writes the states of this
        process's share. passes: how often it pushes that through the model, for the bar. limit: bytes of all caches in
        the folder. right: whether a cache that was found holds what it should; one that does not is made anew. Of
        several processes the first reads the tensors and asks ``right``, for all.
        """
        buffers = buffers_of(below_the_cut(self.model, self.frozen)).items()
        key = self.processes.first(lambda: self.key(digest(chain(tensors, buffers))))
        bypass, share = Bypass(self.model, self.frozen), self.share

        def write(file: Path) -> dict[str, Any]:
            started = time.monotonic()
            with (
                States(file, self.shape, self.model.dtype, access=os.O_RDWR) as states,
                progress(
                    f"prefix cache: blocks 0–{self.frozen - 1}", passes * len(share), quiet=not self.processes.leads
                ) as advance,
                evaluating(self.model),
                autocast(self.device, self.precision),
            ):
                fill(states, bypass, advance)
            seconds = round(time.monotonic() - started, 3)
            return {
                "model": self.model.name_or_path,
                "states": {"dtype": type_name(self.model.dtype), "shape": list(self.shape)},
                "fill": {"seconds": seconds, "batches": len(share)},
            }

        try:
            with open_or_fill(
                folder,
                key,
                self.size,
                write,
                notify,
                limit=limit,
                right=lambda entry: self.agrees(entry, bypass, right),
                processes=self.processes,
            ) as (entry, reused):
                states = States(entry.states, self.shape, self.model.dtype)
                cache = PrefixCache(entry, states, self.rows, bypass, reused=reused, notify=notify)
        except BaseException:
            bypass.remove()
            raise
        cache.attach()
        return cache

    def agrees(self, entry: Entry, bypass: Bypass, right: Callable[[States, Bypass], bool]) -> bool:
        """Ask ``right`` of a cache that was found."""
        with (
            States(entry.states, self.shape, self.model.dtype) as states,
            evaluating(self.model),
            autocast(self.device, self.precision),
        ):
            return right(states, bypass)

    def push(self, states: States, bypass: Bypass, start: int, stop: int, advance: Advance) -> None:
        """Take this process's share from block ``start`` (0: from tokens) to before block ``stop``, in the file."""
        for rows in self.share:
            hidden = states.read(rows) if start else None
            states.write(rows.start, self.run(bypass, rows, hidden, start, stop))
            advance(1)

    def run(self, bypass: Bypass, rows: range, hidden: Tensor | None, start: int, stop: int) -> Tensor:
        """float[rows, length, width]: the states before block ``stop``, from those before block ``start``."""
        whole = [*range(len(rows)), *[0] * (self.batch_size - len(rows))]  # all batches have one shape
        ids = self.rows.ids[rows.start : rows.stop][whole].to(self.device)
        bypass.blocks, bypass.hidden = start, None if hidden is None else hidden[whole].to(self.device)
        try:
            states = hidden_at(self.model, stop, ids)[: len(rows)]
        finally:
            bypass.blocks, bypass.hidden = self.frozen, None
        if states.dtype != self.model.dtype:
            kept, held = type_name(states.dtype), type_name(self.model.dtype)
            raise UserError(f"the states between blocks are {kept}, not {held} as the weights; take --precision fp32")
        return states


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of names, types, shapes and all values, hexadecimal.

    Not ``hyperfit.models.files.weights.weights_fingerprint``, which looks at samples of a model's files: these tensors
    may have been changed in memory, and any change of them changes the states.
    """
    total = hashlib.sha256()
    for name, tensor in tensors:
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(bytes_of(tensor))
    return total.hexdigest()
