"""The tokens that end a text: instruct models often declare more than the one their tokenizer has."""

from collections.abc import Sequence
from typing import Any

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from hyperfit.errors import UserError, first_line
from hyperfit.models.files.folders import model_folder
from hyperfit.models.loading import load_config

ANSWER = "§"
"""An assistant's words in a chat of which only the end is looked at."""


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that the tokenizer, config.json or generation_config.json declare as end of text, ascending.

    Also what ends a turn in the chat template, which base models that come with one do not declare.
    """
    return declared(model.config, model.generation_config, tokenizer)


def end_tokens_of(name: str, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The same of a model's files, which is not loaded for it.

    Raises UserError for a generation_config.json that cannot be used.
    """
    config = load_config(name)
    try:
        generation = GenerationConfig.from_pretrained(model_folder(name))
    except OSError:  # it has none
        generation = None
    except Exception as error:  # it may hold anything
        raise UserError(f"{name}: generation_config.json cannot be used ({first_line(error)})") from error
    return declared(config, generation, tokenizer)


def declared(config: Any, generation: GenerationConfig | None, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids that one of the three declares, or the chat template has."""
    found = [tokenizer.eos_token_id, *(getattr(one, "eos_token_id", None) for one in (config, generation))]
    if (turn := turn_end(tokenizer)) is not None and turn < config.get_text_config(decoder=True).vocab_size:
        found.append(turn)
    return sorted({end for ids in found for end in (ids if isinstance(ids, Sequence) else [ids]) if end is not None})


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
