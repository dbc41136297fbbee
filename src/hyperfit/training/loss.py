"""The training loss, without the logits of a whole batch in memory."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel

from hyperfit.models.devices import positions_at_once
from hyperfit.models.structure.forward import head_of, last_hidden, logits_of
from hyperfit.models.structure.layout import inner_model, layout_of
from hyperfit.training.unlikelihood import first_times, unlikelihood


class SequenceLoss(nn.Module):
    """Next-token cross-entropy of a causal LM, in nats: summed over the predicted tokens, and the part to minimise."""

    def __init__(
        self,
        model: PreTrainedModel | PeftModel,
        autocast: Callable[[], AbstractContextManager[object]],
        repeating: float = 0.0,
        positions: int | None = None,
    ) -> None:
        """repeating: weight of ``unlikelihood`` in what is minimised.

        positions: whose logits are made together; None: what suits the device (``positions_at_once``).
        """
        super().__init__()
        self.model = model
        self.autocast = autocast
        self.repeating = repeating
        self.positions = positions

    def forward(
        self, ids: Tensor, count: int | None = None, share: float = 1.0, learned: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """(sum, share x what is minimised) of the first ``count`` (None: all) of int64[batch, length] sequences.

        learned: bool[batch, length], the tokens that count; None: all but the first of each, which nothing predicts.
        fp32 scalars. What is minimised is the sum, and the weighted unlikelihood where there is one. Only the second
        has gradients. They are scaled where they arise, as those of a mean loss are, and not after they have been
        rounded.
        """
        inner = inner_model(self.model)
        with self.autocast():
            hidden = last_hidden(inner, ids)[:count, : ids.shape[1] - 1].flatten(0, 1)
            targets = ids[:count, 1:].flatten()
            places = torch.arange(len(targets), device=targets.device)
            if learned is not None:
                places = learned[:count, 1:].flatten().nonzero().squeeze(1)
                hidden, targets = hidden[places], targets[places]
            apply: Any = ChunkedLoss.apply
            head, weights, vocabulary = partial(logits_of, inner), head_weights(inner), layout_of(inner).vocabulary
            size = self.positions or positions_at_once(vocabulary, hidden.device, learns=bool(weights))
            total, part = apply(hidden, targets, share, head, size, self.penalty(ids, places), *weights)
        return total, part

    def penalty(self, ids: Tensor, places: Tensor) -> Callable[[Tensor, int], Tensor] | None:
        """What is added for float32[positions, vocabulary] logits from one of the places on; None where nothing is."""
        if not self.repeating:
            return None
        new = first_times(ids)
        return lambda logits, start: (
            self.repeating * unlikelihood(logits, ids, new, places[start : start + len(logits)])
        )


def head_weights(model: PreTrainedModel) -> list[nn.Parameter]:
    """The head's parameters that learn."""
    return [parameter for parameter in head_of(model).parameters() if parameter.requires_grad]


class ChunkedLoss(torch.autograd.Function):
    """Sums the loss over chunks of positions, and takes each chunk's gradients at once, so that its logits can go.

    The gradient of a position's hidden state comes from its own chunk alone. The loss and the gradient of a head that
    learns are sums over chunks: another size of chunk adds in another order, and changes their last bits (as it may
    those of the products, where a library picks its way by the number of rows). The size depends on vocabulary, device
    and whether the head learns (``positions_at_once``), so that the same command gives the same bits.
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        targets: Tensor,
        share: float,
        head: Callable[[Tensor], Tensor],
        size: int,
        penalty: Callable[[Tensor, int], Tensor] | None,
        *weights: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """hidden: float[positions, width]. targets: int64[positions]. weights: parameters of ``head`` that learn.

        size: positions in a chunk. penalty: what is minimised beside the cross-entropy, of a chunk's logits and the
        number of its first position.
        """
        total, added = (torch.zeros((), dtype=torch.float32, device=hidden.device) for _ in range(2))
        pieces: list[Tensor] = []
        sums: list[Tensor] = []
        for number, (piece, wanted) in enumerate(zip(hidden.split(size), targets.split(size), strict=True)):
            leaf = piece.detach().requires_grad_()
            with torch.enable_grad():
                loss, more = losses(head(leaf).float(), wanted, penalty, number * size)
                part = (loss if more is None else loss + more) * share
            total += loss.detach()
            if more is not None:
                added += more.detach()
            if any(ctx.needs_input_grad):
                found = torch.autograd.grad(part, (leaf, *weights))
                pieces.append(found[0])
                if sums:
                    for whole, gradient in zip(sums, found[1:], strict=True):
                        whole += gradient
                else:
                    sums = list(found[1:])
        ctx.save_for_backward(*([torch.cat(pieces)] if pieces else []), *sums)
        ctx.mark_non_differentiable(total)
        return total, (total + added) * share

    @staticmethod
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        """The gradients made in the forward pass, scaled in place, as a head's is large: they can be taken once."""
        hidden, *weights = (gradient.mul_(outputs[1]) for gradient in ctx.saved_tensors)
        return hidden, None, None, None, None, None, *weights


def losses(
    logits: Tensor, targets: Tensor, penalty: Callable[[Tensor, int], Tensor] | None, start: int
) -> tuple[Tensor, Tensor | None]:
    """Cross-entropy and penalty of a chunk, summed; here, so that its logits are let go before the gradients are made.

    logits: float32[positions, vocabulary], of the positions from ``start`` on. targets: int64[positions].
    """
    return F.cross_entropy(logits, targets, reduction="sum"), None if penalty is None else penalty(logits, start)
