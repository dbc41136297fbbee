"""Mixtures of experts: what one text's states have to do with those of its batch."""

from transformers import PreTrainedModel

from hyperfit.models.devices import memory_of
from hyperfit.models.structure.layout import blocks_of
from hyperfit.models.targets import experts_in

SHARE = 0.125
"""Of the device's memory, free or not, so that the same command decides the same: what gathered weights may take."""


def compute_apart(model: PreTrainedModel, tokens: int) -> bool:
    """Let every token go through its experts by itself, if the memory allows for ``tokens`` at once; whether it does.

    As a rule experts compute all their tokens together, and how that rounds depends on how many there are: the states
    of a text then depend, in the last bits, on the texts in its batch. Apart, each token gathers its experts' weights.
    True for a model without experts.
    """
    if not model._can_set_experts_implementation():
        return True
    if gathered(model, tokens) > SHARE * memory_of(model.device):
        return False  # as it was
    model.set_experts_implementation("batched_mm")
    return True


def gathered(model: PreTrainedModel, tokens: int) -> int:
    """Bytes of the weights that ``tokens`` gather in all blocks: they are kept for the gradients where blocks learn."""
    weights = [model.get_parameter(path) for path in experts_in(model, range(len(blocks_of(model))))]
    config = model.config.get_text_config(decoder=True)
    chosen = getattr(config, "num_experts_per_tok", None)
    return sum(tokens * (chosen or len(one)) * one[0].numel() * one.element_size() for one in weights)
