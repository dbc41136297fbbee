"""How a model predicted what it wrote itself, from what its head saw while it wrote: no text is read again."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hyperfit.metrics.predictions.predict import Model, Predictions, Reader
from hyperfit.models.loading import evaluating
from hyperfit.models.structure.forward import entering, head_of
from hyperfit.models.structure.layout import inner_model


@contextmanager
def head_inputs(model: Model, *, keep: bool = True) -> Iterator[list[Tensor]]:
    """What the head sees inside the block at each row's last position: a float[rows, width] for each of its calls.

    keep: false for an empty list.
    """
    inner = inner_model(model)
    seen: list[Tensor] = []

    def look(head: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if keep:
            seen.append(entering(args, kwargs)[:, -1])

    hook = head_of(inner).register_forward_pre_hook(look, with_kwargs=True)
    try:
        yield seen
    finally:
        hook.remove()


def predict_written(model: Model | Reader, states: Sequence[Tensor], texts: Sequence[Sequence[int]]) -> Predictions:
    """``predict`` of texts of one length, whose first token was predicted too: column t tells of token t.

    states: float[some texts, tokens, width] batch by batch, on any device; what the head saw before each token was
    written. Up to rounding the same as from reading context and text together.
    """
    reader = Reader.of(model)
    tokens = torch.as_tensor(texts, dtype=torch.int64).reshape(len(texts), states[0].shape[1])
    seen = Predictions.unread(tokens.shape)
    device = inner_model(reader.model).get_output_embeddings().weight.device
    first = 0
    with evaluating(reader.model):
        for batch in states:
            rows, columns = (each.ravel() for each in np.indices(batch.shape[:2]))
            for start in range(0, len(rows), reader.at_once):
                row, column = rows[start : start + reader.at_once], columns[start : start + reader.at_once]
                log_p = reader.logits(batch[row, column].to(device)).log_softmax(-1)
                place = row + first, column
                seen.put(place, tokens[place].to(device), log_p)
            first += len(batch)
    return seen
