"""Texts → token ids, with the special tokens that a model wants in front, once, and none behind: texts go on."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase


def token_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, behind what the tokenizer puts in front; what it puts behind is left out.

    A text that brings its own beginning (``<s>``) gets no second one. Special tokens that a text itself ends with stay.
    """
    front, behind = added_tokens(tokenizer)
    rows = tokenizer(list(texts), verbose=False)["input_ids"] if texts else []
    return [list(row[doubled(row, front) : len(row) - len(behind)]) for row in rows]


def added_tokens(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """What the tokenizer puts (in front of, behind) every text."""
    alone, whole = tokenizer.encode("a", add_special_tokens=False), tokenizer.encode("a")
    places = range(len(whole) - len(alone) + 1) if alone else ()
    start = next((place for place in places if whole[place : place + len(alone)] == alone), len(whole))
    return whole[:start], whole[start + len(alone) :]


def doubled(ids: Sequence[int], front: Sequence[int]) -> int:
    """How many of a text's first tokens are there twice: those in front, where the text brings them itself."""
    return len(front) if list(ids[: 2 * len(front)]) == [*front, *front] else 0
