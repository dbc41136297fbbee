"""The hidden states of both sides, taken once with forward hooks and read back from a file, layer by layer.

Memory does not grow with the number of tokens; the disk does, by ``tokens * width * bytes`` for every point and
side. What the sides share is computed and stored once.
"""

import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.mechanism.pair.pair import SIDES, Pair, Side
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import entering, last_hidden, passing
from hyperfit.models.structure.layout import blocks_of, inner_model, layout_of
from hyperfit.prefix.disk.states import States

EMBEDDING = "embedding"
"""The point at which states enter block 0: position embeddings and scaling done. Entry 0 of transformers'
``hidden_states``."""
NORM = "norm"
"""The point after the final norm: what the head reads, and the last entry of transformers' ``hidden_states``."""


def block_point(index: int) -> str:
    """The point at the output of a block, counted from 0; of the last block: before the final norm."""
    return f"block {index}"


def points_of(model: PreTrainedModel | PeftModel) -> tuple[str, ...]:
    """Every point of a model in order: embedding, each block, and the final norm where there is one."""
    inner = inner_model(model)
    blocks = [block_point(index) for index in range(len(blocks_of(inner)))]
    return (EMBEDDING, *blocks, *([] if norm_of(inner) is None else [NORM]))


def norm_of(model: PreTrainedModel) -> nn.Module | None:
    """The norm between the last block and the head; None for a model built without it, such as OPT-350m."""
    tail = [model.get_submodule(path) for path in layout_of(model).tail]
    return tail[-1] if tail and not isinstance(tail[-1], nn.Linear) else None


@dataclass(frozen=True)
class Captured:
    """Hidden states at the predicted positions of some texts. Read them inside the block that made them."""

    points: tuple[str, ...]
    """In the model's order; see points_of."""
    texts: int
    positions: int
    """Counted positions of each text."""
    width: int
    depth: int
    """Blocks of the model."""
    shared: frozenset[str]
    """The points at which both sides are the same by construction, and were stored once."""
    device: torch.device
    """Where batches are given: the model's, or the CPU for one without double precision."""
    batch_size: int
    files: dict[tuple[Side, str], States]
    passed: int = 0
    """Stored positions at the start of each text that do not count."""

    def behind(self, skip: int) -> "Captured":
        """The same states without the first ``skip`` positions that count here (fewer than there are)."""
        return replace(self, passed=self.passed + skip, positions=self.positions - skip)

    @property
    def tokens(self) -> int:
        """The states at each point: texts times positions."""
        return self.texts * self.positions

    def side(self, which: Side, point: str) -> Iterator[Tensor]:
        """float64[batch, positions, width] of one side, batch by batch, in the texts' order."""
        states = self.files[which, point]
        for start in range(0, self.texts, self.batch_size):
            rows = states.read(range(start, min(start + self.batch_size, self.texts)))
            yield rows[:, self.passed :].to(self.device).double()

    def both(self, point: str) -> Iterator[tuple[Tensor, Tensor]]:
        """(base, tuned), each float64[batch, positions, width]."""
        return zip(self.side("base", point), self.side("tuned", point), strict=True)


@contextmanager
def captured(
    pair: Pair,
    texts: Tensor,
    *,
    skip: int = 1,
    batch_size: int = 8,
    points: Sequence[str] | None = None,
    share: bool = True,
    folder: Path | None = None,
    advance: Callable[[int], None] = lambda done: None,
) -> Iterator[Captured]:
    """Run each side once over int64[texts, length] token ids and keep its states until the block ends.

    A state counts where it predicts a token from ``skip`` on (at least 1), so that ``length - skip`` positions of
    each text do. points: None for all of points_of. share: compute the blocks that the sides have in common once;
    the tuned side then starts from the base's states, which gives the same bits. folder: where the temporary files
    go; None for the system's place. advance: called with the number of texts that both sides have done. Raises
    UserError for points that the model lacks and for texts with no position to count.
    """
    with pair.side("tuned") as model:
        known, device = points_of(model), inner_model(model).device
    wanted = known if points is None else tuple(point for point in known if point in points)
    problems = [f"no point {point!r} in this model; give some of {', '.join(known)}" for point in points or wanted]
    problems = [text for text, point in zip(problems, points or wanted, strict=True) if point not in known]
    if not len(texts) or not 1 <= skip < texts.shape[1]:
        problems.append(f"no position to look at: {len(texts)} texts of {texts.shape[1]} tokens, skip {skip}")
    if problems:
        raise UserError(*problems)
    blocks = pair.shared_blocks if share else 0
    shared = frozenset((EMBEDDING, *map(block_point, range(blocks))) if blocks else ()) & frozenset(wanted)
    with tempfile.TemporaryDirectory(prefix="hyperfit-states-", dir=folder) as where, ExitStack() as open_files:
        files: dict[tuple[Side, str], States] = {}
        for start in range(0, len(texts), batch_size):
            ids = texts[start : start + batch_size].to(device)
            for side, point, states in _run(pair, ids, wanted, shared, blocks):
                kept = states[:, skip - 1 : texts.shape[1] - 1].cpu()
                if (side, point) not in files:
                    shape = (len(texts), *kept.shape[1:])
                    file = Path(where) / f"{side}-{point.replace(' ', '-')}"
                    files[side, point] = open_files.enter_context(States.create(file, shape, kept.dtype))
                files[side, point].write(start, kept)
            advance(len(ids))
        files |= {("tuned", point): files["base", point] for point in shared}
        yield Captured(
            points=wanted,
            texts=len(texts),
            positions=texts.shape[1] - skip,
            width=next(iter(files.values())).shape[2],
            depth=pair.depth,
            shared=shared,
            device=torch.device("cpu") if device.type == "mps" else device,
            batch_size=batch_size,
            files=files,
        )


def _run(
    pair: Pair, ids: Tensor, points: Sequence[str], shared: Collection[str], blocks: int
) -> Iterator[tuple[Side, str, Tensor]]:
    """(side, point, dtype[batch, length, width]) of one batch; the shared points of the base only."""
    last = block_point(blocks - 1)
    prefix: Tensor | None = None
    for side in SIDES:
        own = [point for point in points if side == "base" or point not in shared]
        also = [last] if side == "base" and blocks else []
        with pair.side(side) as model, evaluating(model), recording(model, {*own, *also}) as seen:
            with passing(inner_model(model), 0 if side == "base" else blocks, prefix):
                last_hidden(inner_model(model), ids)
            yield from ((side, point, seen[point]) for point in own)
            prefix = seen[last] if also else None


@contextmanager
def recording(model: PreTrainedModel | PeftModel, points: Collection[str]) -> Iterator[dict[str, Tensor]]:
    """A dict that holds, after each forward pass inside the block, dtype[batch, length, width] at every point."""
    inner = inner_model(model)
    seen: dict[str, Tensor] = {}

    def at(point: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            seen[point] = output[0] if isinstance(output, tuple) else output

        return hook

    def enter(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        seen[EMBEDDING] = entering(args, kwargs)

    blocks = blocks_of(inner)
    places = {block_point(index): block for index, block in enumerate(blocks)} | {NORM: norm_of(inner)}
    with ExitStack() as hooks:
        if EMBEDDING in points:
            hooks.callback(blocks[0].register_forward_pre_hook(enter, with_kwargs=True).remove)
        for point, module in places.items():
            if point in points and module is not None:
                hooks.callback(module.register_forward_hook(at(point)).remove)
        yield seen
