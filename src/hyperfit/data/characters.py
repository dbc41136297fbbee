"""Token ids → text of whole characters: a token can hold some bytes of one, and a cut between tokens can part it."""

import re
from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""What a tokenizer decodes bytes to that are no whole character."""
LONGEST = 4
"""Bytes of a character, at most; so up to three at either end of an excerpt are part of one that was cut."""
LEFT_BEFORE = re.compile(f"^{INCOMPLETE}{{1,{LONGEST - 1}}}")
LEFT_BEHIND = re.compile(f"{INCOMPLETE}{{1,{LONGEST - 1}}}$")


def excerpt(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    """The text of token ids, without special tokens and without characters that were cut at its ends."""
    return whole_characters(str(tokenizer.decode(list(ids), skip_special_tokens=True)))


def whole_characters(text: str) -> str:
    """The text without characters that were cut at its ends."""
    return LEFT_BEFORE.sub("", without_cut_end(text))


def without_cut_end(text: str) -> str:
    """The text up to the end of its last whole character."""
    return LEFT_BEHIND.sub("", text)


def character_end(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], most: int) -> int:
    """How many token ids, at most ``most``, end with a whole character; ``most`` if none of the last few does."""
    counts = range(most, max(most - LONGEST, 0), -1)
    whole = (count for count in counts if not str(tokenizer.decode(list(ids[:count]))).endswith(INCOMPLETE))
    return next(whole, most)
