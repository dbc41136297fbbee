"""The prefix cache: the frozen blocks' output for given sequences, made once, used in every later forward pass."""

import hashlib
import inspect
import json
import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

import torch
import transformers
from peft import PeftModel
from torch import Tensor
from torch.utils.hooks import RemovableHandle
from transformers import PreTrainedModel

from hyperfit.console import Advance, progress, say
from hyperfit.errors import UserError
from hyperfit.models.devices import autocast, device_name
from hyperfit.models.families import body_of, inner_model
from hyperfit.models.loading import evaluating
from hyperfit.prefix.bypass import (
    Bypass,
    below_the_cut,
    buffers_of,
    dropout_of,
    frozen_blocks,
    hidden_at,
    obstacle,
    parameters_of,
)
from hyperfit.prefix.eviction import LIMIT
from hyperfit.prefix.fill import open_or_fill
from hyperfit.prefix.rows import Rows
from hyperfit.prefix.sizes import readable
from hyperfit.prefix.states import States, bytes_of, type_name
from hyperfit.prefix.store import Entry
from hyperfit.recipes.recipe import Precision

FORMAT = 1
"""Rises when the meaning of the file changes."""

UNIMPORTANT = {"_name_or_path", "name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"}
"""What a model's config says that its arithmetic does not depend on."""

UNDERSTOOD = ("input_ids", "attention_mask", "use_cache", "return_dict")
"""Arguments of a forward pass that may be given where stored states are used; all others must be left out."""

Say = Callable[[str], None]
Fill = Callable[[States, Bypass, Advance], None]


class PrefixCache:
    """Stored states of a model's first ``blocks`` blocks, fed to it whenever it reads one of the stored sequences."""

    def __init__(self, entry: Entry, plan: "Plan", bypass: Bypass, *, reused: bool, notify: Say = say) -> None:
        self.entry, self.rows, self.bypass, self.reused, self.notify = entry, plan.rows, bypass, reused, notify
        self.states = States(entry.states, plan.shape, plan.model.dtype)
        # modules and not their parameters: streaming replaces those, and the old ones would stay in memory
        self.below = [module for _, module in below_the_cut(plan.model, plan.frozen)]
        self.dropping = [module for module in self.below if dropout_of(module)]
        self.on = True
        self.missed = False
        self.served = 0
        self.hooks: list[RemovableHandle] = []

    @property
    def blocks(self) -> int:
        """Frozen blocks whose output is stored."""
        return self.bypass.blocks

    def attach(self) -> None:
        """From now on the model reads stored sequences from the cache, and computes all others as before.

        Only whole sequences, without padding, positions or key-value cache (``use_cache=False``) are read from it.
        """
        body = body_of(self.bypass.model)
        names = list(inspect.signature(body.forward).parameters)

        def look_up(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            given = {**dict(zip(names, args, strict=False)), **kwargs}
            self.bypass.hidden = self.find(given) if self.on else None

        def forget(module: torch.nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self.bypass.hidden = None

        ATTACHED[self.bypass.model] = self
        self.hooks = [
            body.register_forward_pre_hook(look_up, with_kwargs=True),
            body.register_forward_hook(forget, always_call=True),
        ]

    def __enter__(self) -> "PrefixCache":
        """The cache itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Detach it."""
        self.detach()

    def detach(self) -> None:
        """The model computes everything again, and is as it was."""
        for hook in self.hooks:
            hook.remove()
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
        self.states.expect(self.rows.find(ids) or [])

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


def cache_prefix(
    model: PreTrainedModel | PeftModel,
    sequences: Tensor,
    folder: Path | str,
    *,
    batch_size: int = 8,
    precision: Precision = "fp32",
    limit: int = LIMIT,
    notify: Say = say,
) -> PrefixCache:
    """Store what the frozen blocks make of int64[any, length] sequences, and attach it to the model.

    folder: where caches lie; one that is there for the same weights, sequences, depth, types and versions is used.
    batch_size: sequences of a forward pass; train with as many, for then rounding is the same. precision: bf16 where
    training computes under bfloat16 autocast. limit: bytes that all caches of the folder may take; before a new one is
    filled the least recently used go that no process reads. Raises UserError if the model breaks a condition
    (``hyperfit.prefix.bypass.obstacle``) or the disk has no room.
    """
    frozen = frozen_blocks(model)
    if reason := obstacle(model, frozen):
        raise UserError(f"the prefix cannot be cached: {reason}")
    inner = inner_model(model)
    if inner in ATTACHED:
        ATTACHED[inner].detach()
    tensors = parameters_of(below_the_cut(inner, frozen)).items()
    plan = Plan(inner, frozen, Rows.of(sequences), batch_size, precision, inner.device)

    def fill(states: States, bypass: Bypass, advance: Advance) -> None:
        plan.push(states, bypass, 0, frozen, advance)

    return plan.open(Path(folder), tensors, fill, passes=1, limit=limit, notify=notify)


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

    @property
    def shape(self) -> tuple[int, int, int]:
        """(sequences, length, width)"""
        count, length = self.rows.ids.shape
        return count, length, self.model.config.hidden_size

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

        tensors: name and values of all frozen weights; buffers are added to them. fill: writes the states. passes: how
        often it pushes all sequences through the model, for the bar. limit: bytes of all caches in the folder. right:
        whether a cache that was found holds what it should; one that does not is made anew.
        """
        key, bypass, batches = (
            self.key(digest(chain(tensors, buffers_of(below_the_cut(self.model, self.frozen)).items()))),
            Bypass(self.model, self.frozen),
            self.rows.batches(self.batch_size),
        )

        def write(file: Path) -> dict[str, Any]:
            started = time.monotonic()
            with (
                States.create(file, self.shape, self.model.dtype) as states,
                progress(f"prefix cache: blocks 0–{self.frozen - 1}", passes * len(batches)) as advance,
                evaluating(self.model),
                autocast(self.device, self.precision),
            ):
                fill(states, bypass, advance)
            seconds = round(time.monotonic() - started, 3)
            return {
                "model": self.model.name_or_path,
                "states": {"dtype": type_name(self.model.dtype), "shape": list(self.shape)},
                "fill": {"seconds": seconds, "batches": len(batches)},
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
            ) as (entry, reused):
                cache = PrefixCache(entry, self, bypass, reused=reused, notify=notify)
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
        """Take all sequences from block ``start`` (0: from their tokens) to before block ``stop``, in the file."""
        for rows in self.rows.batches(self.batch_size):
            hidden = states.read(rows) if start else None
            states.write(rows.start, self.run(bypass, rows, hidden, start, stop))
            advance(1)

    def run(self, bypass: Bypass, rows: range, hidden: Tensor | None, start: int, stop: int) -> Tensor:
        """float[rows, length, width]: the states before block ``stop``, from those before block ``start``."""
        whole = [*range(len(rows)), *[0] * (self.batch_size - len(rows))]  # all batches have one shape
        ids = self.rows.ids[rows.start : rows.stop][whole].to(self.device)
        bypass.blocks, bypass.hidden = start, None if hidden is None else hidden[whole].to(self.device)
        try:
            return hidden_at(self.model, stop, ids)[: len(rows)]
        finally:
            bypass.blocks, bypass.hidden = self.frozen, None


def digest(tensors: Iterable[tuple[str, Tensor]]) -> str:
    """SHA-256 of names, types, shapes and all values, hexadecimal.

    Not ``hyperfit.models.weights.weights_fingerprint``, which looks at samples of a model's files: these tensors may
    have been changed in memory, and any change of them changes the states.
    """
    total = hashlib.sha256()
    for name, tensor in tensors:
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        total.update(bytes_of(tensor))
    return total.hexdigest()
