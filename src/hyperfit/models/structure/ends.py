"""The tokens that end a text: instruct models often declare more than the one their tokenizer has."""

from collections.abc import Sequence

from transformers import PreTrainedModel, PreTrainedTokenizerBase

ANSWER = "§"
"""An assistant's words in a chat of which only the end is looked at."""


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that the tokenizer, config.json or generation_config.json declare as end of text, ascending.

    Also what ends a turn in the chat template, which base models that come with one do not declare.
    """
    configs = (model.config, model.generation_config)
    declared = [tokenizer.eos_token_id, *(getattr(config, "eos_token_id", None) for config in configs)]
    if (turn := turn_end(tokenizer)) is not None and turn < model.config.get_text_config(decoder=True).vocab_size:
        declared.append(turn)
    return sorted({end for ids in declared for end in (ids if isinstance(ids, Sequence) else [ids]) if end is not None})


def turn_end(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """The special token that the chat template writes behind what the assistant says; None where there is none."""
    chat = [{"role": "user", "content": ANSWER}, {"role": "assistant", "content": ANSWER}]
    try:
        behind = str(tokenizer.apply_chat_template(chat, tokenize=False)).rpartition(ANSWER)[2]
    except Exception:  # no template, or one that takes other chats
        return None
    first = tokenizer(behind.lstrip(), add_special_tokens=False)["input_ids"][:1]
    added = tokenizer.added_tokens_decoder
    special = {*tokenizer.all_special_ids, *(token for token in added if added[token].special)}
    return first[0] if first and first[0] in special else None
