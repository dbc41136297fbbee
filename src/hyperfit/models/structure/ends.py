"""The tokens that end a text: instruct models often declare more than the one their tokenizer has."""

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that the tokenizer, config.json or generation_config.json declare as end of text, ascending."""
    configs = (model.config, model.generation_config)
    declared = [tokenizer.eos_token_id, *(getattr(config, "eos_token_id", None) for config in configs)]
    return sorted({end for ids in declared for end in (ids if isinstance(ids, Sequence) else [ids]) if end is not None})
