"""Every module's call in a forward pass: who was given what, in which order, and what it returned."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from transformers import PreTrainedModel


@dataclass
class Call:
    """One call of a module."""

    path: str
    """The module's name in the model."""
    start: int
    """When it began, counted over all beginnings and ends."""
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    end: int = -1
    output: Any = None

    def was_given(self, tensor: Tensor) -> bool:
        """Whether a tensor, or an equal one, is among the arguments."""
        return any(same(given, tensor) for given in tensors_in((self.args, self.kwargs)))


@dataclass
class Watch:
    """The calls of a forward pass, in the order in which they began."""

    calls: list[Call] = field(default_factory=list)
    clock: int = 0

    def tick(self) -> int:
        """The next moment."""
        self.clock += 1
        return self.clock

    def of(self, path: str) -> list[Call]:
        """The calls of one module."""
        return [call for call in self.calls if call.path == path]

    def between(self, start: int, end: int) -> list[Call]:
        """The calls within a time, without those that are made inside another one of them."""
        found: list[Call] = []
        for call in self.calls:
            if start < call.start and call.end < end and (not found or call.start > found[-1].end):
                found.append(call)
        return found


def watch(model: PreTrainedModel, ids: Tensor) -> tuple[Watch, Tensor]:
    """All calls of a forward pass over int64[1, length] ids, and its float[1, length, vocabulary] logits."""
    seen, running = Watch(), list[Call]()

    def begin(path: str) -> Any:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            running.append(Call(path, seen.tick(), args, kwargs))
            seen.calls.append(running[-1])

        return hook

    def end(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        call = running.pop()
        call.end, call.output = seen.tick(), output

    with ExitStack() as hooks, torch.no_grad():
        for path, module in model.named_modules():
            hooks.callback(module.register_forward_pre_hook(begin(path), with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(end).remove)
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return seen, logits


def tensors_in(thing: Any) -> Iterator[Tensor]:
    """Every tensor inside of nested tuples, lists and dicts."""
    if isinstance(thing, Tensor):
        yield thing
    elif isinstance(thing, (tuple, list)):
        for part in thing:
            yield from tensors_in(part)
    elif isinstance(thing, dict):
        for part in thing.values():
            yield from tensors_in(part)


def same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are one, or have the same values, if they have any."""
    if one is other:
        return True
    if one.shape != other.shape or one.dtype != other.dtype or isinstance(one, FakeTensor):
        return False
    return torch.equal(one, other)
