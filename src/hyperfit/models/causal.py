"""Whether a model is what everything else takes it for: a causal LM whose parts were found where they are."""

import torch
from transformers import PreTrainedModel

from hyperfit.errors import UserError
from hyperfit.models.forward import last_hidden, logits_of
from hyperfit.models.layout import layout_of

TOKENS = 6
"""Of the text on which it is tried."""
ROUNDING = 0.01
"""Of the logits' spread: what batches and experts may change; a model that sees what comes after changes far more."""


def check_model(model: PreTrainedModel) -> None:
    """Find the model's parts and try them. Raises UserError if a token moves the logits of those before it.

    And if the logits are not what its head, read as ``hyperfit.models.forward.logits_of`` does, gives.
    """
    kind, layout = model.config.model_type, layout_of(model)
    ids = torch.arange(1, TOKENS + 1, device=model.device)[None]
    other = ids.clone()
    other[0, -1] = TOKENS + 1
    with torch.no_grad():
        logits, changed = (model(input_ids=tokens, use_cache=False).logits[0].float() for tokens in (ids, other))
        read = logits_of(model, last_hidden(model, ids)[0]).float()
    if logits.isfinite().all():  # weights that are not are told of elsewhere
        most = ROUNDING * float(logits.std())
        if float((logits - changed)[:-1].abs().max()) > most:
            raise UserError(f"{kind}: a token changes what is expected before it, so this is no causal language model")
        if float((logits - read).abs().max()) > most:
            raise UserError(f"{kind}: its logits are not what {layout.head} gives for the states that were found")
