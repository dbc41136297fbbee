"""Coarse classes of tokens, from their spelling alone."""

from typing import Literal, get_args

from transformers import PreTrainedTokenizerBase

WordClass = Literal["function", "capitalised", "lower", "inside", "number", "punctuation", "space", "special"]
CLASSES: tuple[WordClass, ...] = get_args(WordClass)

WORD_START = ("Ġ", "▁")
"""How byte-level and SentencePiece tokenizers mark a token that begins with a space."""

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those
    i me my mine myself we us our ours you your yours he him his himself she her hers herself it its itself
    they them their theirs themselves who whom whose which what one
    of to in on at by for from with without into onto over under after before between through about against
    during within upon up down out off near toward towards across behind beyond since until till as than like
    and or but nor so yet if because while when where although though unless whether
    be am is are was were been being do does did done have has had having
    can could will would shall should may might must
    not no there here then too also just only very
    all any both each every either neither some such more most other another
    how why
    """.split()  # noqa: SIM905  # a list that can be read
)
"""English articles, pronouns, prepositions, conjunctions, auxiliaries and a few adverbs."""


def word_classes(tokenizer: PreTrainedTokenizerBase, size: int) -> list[WordClass]:
    """The class of each token id below ``size``.

    special: a control token, or an id without a token; space: white space only; punctuation: no letter or digit;
    number: a digit and no letter; inside: goes on within a word, or starts one without a space in front (at the start
    of a line, after a quotation mark); else the token starts a word: function for a word of FUNCTION_WORDS,
    capitalised, or lower. The first token of a longer word stands for itself, so that the start of "in|deed" counts as
    function. Coarse on purpose: no tagger, English function words only, no word starts where a tokenizer marks none.
    """
    special = set(tokenizer.all_special_ids)
    pieces = tokenizer.convert_ids_to_tokens(list(range(min(size, len(tokenizer)))))
    classes: list[WordClass] = []
    for token, piece in enumerate(pieces):
        if token in special or piece is None:
            classes.append("special")
        else:
            classes.append(word_class(str(tokenizer.decode([token])), starts=piece.startswith(WORD_START)))
    return classes + ["special"] * (size - len(classes))


def word_class(text: str, *, starts: bool) -> WordClass:
    """The class of a token that is not special. text: decoded. starts: whether a space stands in front of it."""
    word = text.strip()
    if not word:
        return "space"
    if not any(letter.isalpha() for letter in word):
        return "number" if any(letter.isdigit() for letter in word) else "punctuation"
    if not starts:
        return "inside"
    if word.lower() in FUNCTION_WORDS:
        return "function"
    return "capitalised" if word[0].isupper() else "lower"
