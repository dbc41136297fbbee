"""Which tokens of a tokenizer begin a new word."""

import unicodedata

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import INCOMPLETE
from hyperfit.errors import UserError

UNSPACED = ("CJK", "HIRAGANA", "KATAKANA", "BOPOMOFO", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "JAVANESE")
"""How the Unicode names of letters begin whose scripts put no space between words."""
APOSTROPHES = "'’"


def word_starts(tokenizer: PreTrainedTokenizerBase) -> Tensor:
    """bool[len(tokenizer)]: whether the word before is complete if this token comes after it.

    False for tokens that go on with the word: those that begin with a letter, a digit, a combining mark, or
    an apostrophe and a letter ("'s"), and pieces of a character. True for tokens that begin with a space or
    any other white space, punctuation or another sign, and for tokens without text (special tokens).
    Scripts without spaces between words (Chinese, Japanese, Thai, ...) do not show where one begins:
    each of their letters counts as a word.

    Read off the texts that the tokenizer decodes, each token placed after a letter: that works alike for
    byte-level BPE ("Ġ"), SentencePiece ("▁", with or without byte fallback) and single bytes. Raises UserError
    for a tokenizer whose tokens do not show the spaces, so that words cannot be told from pieces of words.
    """
    letter = [int(token) for token in tokenizer.encode("a", add_special_tokens=False)]
    alone = decoded(tokenizer, [letter])[0]
    texts = decoded(tokenizer, [[*letter, token] for token in range(len(tokenizer))])
    added = [text[len(alone) :] if text.startswith(alone) else None for text in texts]
    if alone.strip().lower() != "a" or not any(text is not None and text[:1].isspace() for text in added):
        raise UserError(
            f"word_starts: the tokens of {type(tokenizer).__name__} show no spaces, so where words begin cannot be "
            "read off them; block plain tokens (word_starts=None), or give a bool[vocabulary] of your own"
        )
    return torch.tensor([text is not None and begins_word(text) for text in added])


def decoded(tokenizer: PreTrainedTokenizerBase, rows: list[list[int]]) -> list[str]:
    """The text of each row of token ids, special tokens left out, spaces as they are."""
    return list(tokenizer.batch_decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def begins_word(text: str) -> bool:
    """Whether ``text``, put behind a word, leaves that word as it is; see ``word_starts``."""
    if text[:1] in APOSTROPHES and text[1:2].isalpha():
        return False
    first = text[:1]
    if not first or first == INCOMPLETE:
        return not first
    if first.isalpha() and unicodedata.name(first, "").startswith(UNSPACED):
        return True
    return unicodedata.category(first)[0] not in "LNM"
