"""Where a causal LM keeps blocks, final norm, head and embedding: found by watching one forward pass of the model."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from weakref import WeakKeyDictionary

import torch
from peft import PeftModel
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.models.structure.watch import Call, Watch, same, tensors_in, watch

LOOK = 6
"""Tokens of the forward pass that is watched."""


@dataclass(frozen=True)
class Layout:
    """Module paths inside a causal LM, and how its blocks hand on their states."""

    blocks: str
    """The ModuleList of transformer blocks."""
    tail: tuple[str, ...]
    """What runs between the last block and the head, in order: the final norm, as a rule."""
    head: str
    """The unembedding."""
    embedding: str
    """The token embedding."""
    tuples: tuple[int, ...]
    """Of each block the length of the tuple that it returns, its states first; 0: it returns them bare."""
    states: tuple[int, ...]
    """Shape of one token's states between blocks: (width,), but for a few that keep several streams."""
    vocabulary: int
    """Logits of a position."""
    bare_head: bool
    """Whether the logits are what the head gives, neither scaled nor capped."""
    odd_calls: frozenset[str]
    """Modules that are called in another way than PEFT's wrappers can be."""
    aside: str | None
    """Why the states of a block are not all that the next one depends on; None if nothing of the kind is seen."""

    def above(self, block: int) -> tuple[str, ...]:
        """Paths of the blocks from ``block`` on, of what follows them, and of the head."""
        return (*(f"{self.blocks}.{index}" for index in range(block, len(self.tuples))), *self.tail, self.head)

    def block_of(self, name: str) -> int | None:
        """The block in which a module or parameter lies; None if it is in none."""
        inside = name.removeprefix(f"{self.blocks}.")
        return None if inside == name else int(inside.split(".")[0])

    def returned(self, block: int, states: Tensor | None) -> Any:
        """``states`` in the form in which a block returns them."""
        length = self.tuples[block]
        return (states, *[None] * (length - 1)) if length else states


def under(name: str, paths: tuple[str, ...]) -> bool:
    """Whether a module or parameter is at one of the paths or below it."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


_LAYOUTS: "WeakKeyDictionary[nn.Module, Layout]" = WeakKeyDictionary()


def layout_of(model: PreTrainedModel) -> Layout:
    """The model's layout, found the first time. Raises UserError if it cannot be.

    A model without weights (on the meta device) is built once more of fake tensors, and that one is watched.
    """
    if model not in _LAYOUTS:
        if any(parameter.is_meta for parameter in model.parameters()):
            with FakeTensorMode():
                found = find_layout(copy_of(model))
        else:
            found = find_layout(model)
        _LAYOUTS[model] = found
    return _LAYOUTS[model]


def copy_of(model: PreTrainedModel) -> PreTrainedModel:
    """A new model of the same config; experts, if it has them, compute in a way that needs neither values nor bf16."""
    new: PreTrainedModel = type(model)._from_config(model.config)
    if new._can_set_experts_implementation():
        new.set_experts_implementation("batched_mm")
    new.eval()
    return new


def without_weights(model: PreTrainedModel) -> PreTrainedModel:
    """A copy on the meta device, which takes no memory."""
    with torch.device("meta"):
        return copy_of(model)


def find_layout(model: PreTrainedModel) -> Layout:
    """Watch a pass over a few tokens and say where everything is. Raises UserError if that cannot be told.

    The blocks are the outermost list of modules that run once each, in order, each given the states that the one before
    returned; of several such lists the one nearest the head.
    """
    kind = model.config.model_type
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    names = {module: path for path, module in model.named_modules()}
    if embedding not in names or head not in names:
        raise UserError(f"model family {kind!r}: it names no embedding or no head, so it is no causal language model")
    some = torch.arange(1, LOOK + 1, device=next(embedding.parameters()).device)[None]
    seen, logits = watch(model, some)
    lists = [(path, len(one)) for path, one in model.named_modules() if isinstance(one, nn.ModuleList)]
    chains = [chain for path, count in lists if (chain := chained(seen, path, count))]
    reads = seen.of(names[head])
    if not chains or not reads:
        raise UserError(f"model family {kind!r}: no blocks were found that run one after the other below the head")
    chain = min(chains, key=lambda one: (one[0].path.count("."), -one[-1].end))
    blocks, read, states = chain[0].path.rpartition(".")[0], reads[-1], states_of(chain[-1].output)
    assert states is not None
    return Layout(
        blocks=blocks,
        tail=tuple(call.path for call in seen.between(chain[-1].end, read.start)),
        head=names[head],
        embedding=names[embedding],
        tuples=tuple(len(call.output) if isinstance(call.output, (tuple, list)) else 0 for call in chain),
        states=tuple(states.shape[2:]),
        vocabulary=logits.shape[-1],
        bare_head=same(read.output, logits) and not logits._version,  # it rises when values are changed in place
        odd_calls=frozenset(call.path for call in seen.calls if odd(model.get_submodule(call.path), call)),
        aside=beside(model, seen, chain, names[embedding]),
    )


def odd(module: nn.Module, call: Call) -> bool:
    """Whether a module is called otherwise than PEFT's wrappers: on a tensor, a linear layer for its whole product."""
    if not call.args or not isinstance(call.args[0], Tensor) or not isinstance(call.output, Tensor):
        return True
    return isinstance(module, nn.Linear) and call.output.shape[-1] != module.out_features


def chained(seen: Watch, path: str, count: int) -> list[Call]:
    """The calls of a list's items, if each ran once, behind the one before and on its states; else none."""
    runs = [seen.of(f"{path}.{index}") for index in range(count)]
    if not runs or any(len(run) != 1 for run in runs):
        return []
    calls = [run[0] for run in runs]
    ordered = all(one.end < other.start for one, other in pairwise(calls))
    states = [states_of(call.output) for call in calls]
    if not ordered or any(one is None for one in states):
        return []
    linked = all(one is not None and call.was_given(one) for one, call in zip(states, calls[1:], strict=False))
    return calls if linked else []


def states_of(output: Any) -> Tensor | None:
    """The hidden states in what a block returns: itself, or the first of a tuple or list; None if there are none."""
    first = output[0] if isinstance(output, (tuple, list)) and output else output
    return first if isinstance(first, Tensor) else None


def beside(model: PreTrainedModel, seen: Watch, chain: list[Call], embedding: str) -> str | None:
    """What blocks depend on that is not in the states of the one before; None if nothing of the kind is seen."""
    kind, states = model.config.model_type, states_of(chain[0].output)
    if states is None or states.shape[:2] != (1, LOOK):
        return f"{kind} keeps its states in another form than one row a text"
    embedded = [call.output for call in seen.of(embedding)]
    if any(given is one for call in chain[1:] for given in tensors_in((call.args, call.kwargs)) for one in embedded):
        return f"{kind} feeds token embeddings into later blocks, too"
    for one, other in pairwise(chain):
        rest = list(tensors_in(one.output[1:])) if isinstance(one.output, (tuple, list)) else []
        if any(given is part for given in tensors_in((other.args, other.kwargs)) for part in rest):
            return f"blocks of {kind} hand on more than their states"
    return None


def inner_model(model: PreTrainedModel | PeftModel) -> PreTrainedModel:
    """The causal LM itself, without PEFT's wrapping; adapters inside its blocks stay where they are."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    assert isinstance(inner, PreTrainedModel)
    return inner


def blocks_of(model: PreTrainedModel) -> nn.ModuleList:
    """The model's transformer blocks, first to last. Raises UserError if they cannot be found."""
    blocks = model.get_submodule(layout_of(model).blocks)
    assert isinstance(blocks, nn.ModuleList)
    return blocks


def width_of(model: PreTrainedModel) -> int:
    """The width of a token's states between blocks."""
    return layout_of(model).states[-1]


def positions_of(config: Any) -> int | None:
    """The longest sequence the model has positions for; None if its config names no limit."""
    limit = getattr(config.get_text_config(decoder=True), "max_position_embeddings", None)
    return int(limit) if limit else None
