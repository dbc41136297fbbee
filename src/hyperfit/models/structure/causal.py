"""Whether a model is what everything else takes it for: a causal LM whose parts were found where they are."""

import torch
from torch import Tensor
from transformers import PreTrainedModel

from hyperfit.errors import UserError, first_line
from hyperfit.models.structure.forward import hidden_at, last_hidden, logits_of
from hyperfit.models.structure.layout import layout_of

TOKENS = 6
"""Of the text on which it is tried."""
ROUNDING = 0.01
"""Of the logits' spread: what batches and experts may change; a model that sees what comes after changes far more."""


NOT_CAUSAL = "{}: a token changes what is expected before it, so this is no causal language model"


def check_model(model: PreTrainedModel) -> None:
    """Find the model's parts and try them. Raises UserError if a token moves the logits of those before it.

    And if the logits are not what its head, read as ``hyperfit.models.structure.forward.logits_of`` does, gives.
    """
    kind = model.config.model_type
    try:
        layout = layout_of(model)
    except (TypeError, ValueError) as error:  # a forward pass that wants images or sound
        raise UserError(f"{kind}: does not read text alone ({first_line(error)})") from error
    ids, other = two_texts(model.device)
    with torch.no_grad():
        logits, changed = (model(input_ids=tokens, use_cache=False).logits[0].float() for tokens in (ids, other))
        read = logits_of(model, last_hidden(model, ids)[0]).float()
    if logits.isfinite().all():  # weights that are not are told of elsewhere
        most = ROUNDING * float(logits.std())
        if float((logits - changed)[:-1].abs().max()) > most:
            raise UserError(NOT_CAUSAL.format(kind))
        if float((logits - read).abs().max()) > most:
            raise UserError(f"{kind}: its logits are not what {layout.head} gives for the states that were found")


def check_first_block(model: PreTrainedModel, device: torch.device) -> None:
    """Raises UserError if a token moves the states before it: all that can be tried with one block in memory."""
    ids, other = two_texts(device)
    with torch.no_grad():
        states, changed = (hidden_at(model, 1, tokens)[0].float() for tokens in (ids, other))
    if float((states - changed)[:-1].abs().max()) > ROUNDING * float(states.std()):
        raise UserError(NOT_CAUSAL.format(model.config.model_type))


def two_texts(device: torch.device) -> tuple[Tensor, Tensor]:
    """Two int64[1, TOKENS] texts that differ in their last token."""
    ids = torch.arange(1, TOKENS + 1, device=device)[None]
    other = ids.clone()
    other[0, -1] = TOKENS + 1
    return ids, other
