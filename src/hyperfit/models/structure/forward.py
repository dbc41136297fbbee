"""Parts of a model's forward pass, each run by the model's own code: up to a block, up to the head, the head alone."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.models.structure.layout import blocks_of, layout_of, positions_of


class _Reached(Exception):  # noqa: N818  # carries the states out of the model; nothing is wrong
    def __init__(self, states: Tensor) -> None:
        self.states = states


def entering(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """The states among a block's arguments, or a head's."""
    states: Tensor = args[0] if args else kwargs["hidden_states"]
    return states


def states_before(model: PreTrainedModel, module: nn.Module, ids: Tensor) -> Tensor:
    """float[batch, length, ...]: what reaches a module for int64[batch, length] ids; nothing after it is run."""

    def leave(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        raise _Reached(entering(args, kwargs))

    handle = module.register_forward_pre_hook(leave, with_kwargs=True)
    try:
        model(input_ids=ids, use_cache=False)
    except _Reached as reached:
        return reached.states
    finally:
        handle.remove()
    raise AssertionError("the module was never reached")


def hidden_at(model: PreTrainedModel, block: int, ids: Tensor) -> Tensor:
    """float[batch, length, ...]: what reaches block ``block`` for int64[batch, length] ids."""
    return states_before(model, blocks_of(model)[block], ids)


def last_hidden(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """float[batch, length, width]: what the head reads for int64[batch, length] ids ``within_positions``."""
    return states_before(model, head_of(model), within_positions(model, ids))


def within_positions(model: PreTrainedModel, ids: Tensor) -> Tensor:
    """int64[batch, length]: the ids, but for the last if it is one more than the model has positions.

    The last token of a sequence is predicted, and need not be read: a picture has one token a position behind the one
    that it starts with.
    """
    return ids[:, :-1] if ids.shape[1] - 1 == positions_of(model.config) else ids


def head_of(model: PreTrainedModel) -> nn.Module:
    """The unembedding itself."""
    return model.get_submodule(layout_of(model).head)


def logits_of(model: PreTrainedModel, hidden: Tensor) -> Tensor:
    """float[positions, vocabulary] of float[positions, width] that the head reads, as the model makes them.

    Where more is done to them than the head does (a scale, a cap) the model's own code does it: it runs with its blocks
    passed over, on as many texts of one token, and its head is given ``hidden``.
    """
    head = head_of(model)
    if layout_of(model).bare_head:
        logits: Tensor = head(hidden)
        return logits

    def give(
        module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (hidden[:, None], *args[1:]), {name: value for name, value in kwargs.items() if name != "hidden_states"}

    ids = torch.zeros(len(hidden), 1, dtype=torch.int64, device=hidden.device)
    handle = head.register_forward_pre_hook(give, with_kwargs=True)
    try:
        with passing(model, len(blocks_of(model)), None):
            logits = model(input_ids=ids, use_cache=False).logits
    finally:
        handle.remove()
    return logits[:, 0]


def read_out(model: PreTrainedModel, states: Tensor) -> Tensor:
    """float[positions, vocabulary] of float[positions, ...] block outputs, as if the model ended at that block."""
    ids = torch.zeros(len(states), 1, dtype=torch.int64, device=states.device)
    with passing(model, len(blocks_of(model)), states[:, None]):
        logits: Tensor = model(input_ids=ids, use_cache=False).logits
    return logits[:, 0]


@contextmanager
def passing(model: PreTrainedModel, blocks: int, states: Tensor | None) -> Iterator[None]:
    """Inside the block, the first ``blocks`` blocks compute nothing and give ``states``; None: what they are given.

    The model's own code still makes masks and phases for the blocks that follow.
    """
    layout = layout_of(model)

    def forward(block: int) -> Any:
        def given(*args: Any, **kwargs: Any) -> Any:
            return layout.returned(block, entering(args, kwargs) if states is None else states)

        return given

    with ExitStack() as undo:
        for index, block in enumerate(list(blocks_of(model))[:blocks]):
            undo.enter_context(instead(block, forward(index)))
        if blocks == len(blocks_of(model)):
            PASSED_OVER.add(model)
            undo.callback(PASSED_OVER.discard, model)
        yield


PASSED_OVER: "WeakSet[nn.Module]" = WeakSet()
"""The models all of whose blocks are passed over at the moment: what their embedding gives is not read."""


@contextmanager
def instead(module: nn.Module, forward: Any) -> Iterator[None]:
    """Another forward pass for a module, as long as the block runs."""
    own = vars(module).get("forward")
    module.forward = forward
    try:
        yield
    finally:
        if own is None:
            vars(module).pop("forward", None)
        else:
            module.forward = own
