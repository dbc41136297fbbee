"""The share of a text's words that are words; a type-token ratio counts broken ones as variety."""

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from unicodedata import normalize

from spellchecker import SpellChecker
from transformers import PreTrainedTokenizerBase

from hyperfit.data.characters import excerpt
from hyperfit.generation.continuations import continuation_text

JOINERS = "-'’‐‑"  # the plain hyphen first: elsewhere it would make a range of what stands around it
"""Apostrophes and hyphens that may stand inside a word."""
BROKEN = "\ufffd"
"""What stands for bytes that are no character; beside letters it makes a word of them that is none."""
LETTER = rf"(?:[^\W\d_]|{BROKEN})"
WORD = re.compile(rf"(?<![\w{BROKEN}]){LETTER}+(?:[{JOINERS}]{LETTER}+)*(?![\w{BROKEN}])")
"""Letters, with single joiners between them; not what touches a digit, as in 2nd."""
PARTS = re.compile(f"[{JOINERS}]")
LANGUAGES = tuple(SpellChecker.languages())
"""Of which pyspellchecker has a lexicon, English first."""
LEAST_KNOWN = 0.75
"""Share of the running words of texts that a lexicon of their language holds; one of another holds up to .6."""

NO_LEXICON = f"no share of words: training data and contexts are in none of the languages {', '.join(LANGUAGES)}"
"""Said where it is not measured."""


@dataclass(frozen=True)
class Lexicon:
    """What counts as a word."""

    language: str
    words: frozenset[str]
    """Of the language, in small letters."""
    own: frozenset[str] = frozenset()
    """That stand in the training data: names above all, and spellings that the lexicon lacks."""

    def holds(self, word: str, near: frozenset[str] = frozenset()) -> bool:
        """Whether it stands here or in ``near``, whole or in each of its parts between apostrophes and hyphens."""
        return any(
            all(part in self.words or part in self.own or part in near for part in parts)
            for parts in ([word], PARTS.split(word))
        )


@lru_cache(maxsize=2)
def language_words(language: str) -> frozenset[str]:
    """The words of one of LANGUAGES, in small letters, as pyspellchecker has them: with inflected forms, some names."""
    return frozenset(map(folded, SpellChecker(language=language, distance=1).word_frequency.dictionary))


def lexicon_of(training: Iterable[str], others: Iterable[str] = ()) -> Lexicon | None:
    """The lexicon to measure texts by: of the language of human texts, and the words of those trained on.

    training: texts whose whole words count as words too. others: texts that only tell the language. That
    is the first of LANGUAGES whose lexicon holds LEAST_KNOWN of their words; English where there are no words. None
    where no lexicon does: then the measure is undefined.
    """
    trained = [word for text in training for word in whole_words(text)]
    told = [*trained, *(word for text in others for word in whole_words(text))]
    for language in LANGUAGES:
        found = Lexicon(language, language_words(language))
        if sum(map(found.holds, told)) >= LEAST_KNOWN * len(told):
            return Lexicon(language, found.words, frozenset(trained))
    return None


def word_share(text: str, lexicon: Lexicon, context: str = "") -> float:
    """Words of a continuation that are words / its words: in [0, 1], each occurrence counts; NaN without a whole word.

    A word is a run of letters, with apostrophes and hyphens inside; numbers and punctuation are none. It is one if
    it stands in the lexicon, in the training data that the lexicon was given, or in ``context``, the text that is
    continued, in capital or small letters; so names of the story count, and a name that is new does not. Human texts do
    not reach 1 for that reason, and are the mark to hold others against. Whether words follow each other sensibly it
    does not say, nor does it see a token that happens to be a word put in a wrong place. Words that the text's end or
    its beginning may cut are left out.
    """
    context, text = normalize("NFC", context), normalize("NFC", text)
    whole, begins = context + text, len(context)
    near = frozenset(folded(found[0]) for found in WORD.finditer(whole) if found.end() <= begins)
    own = [lexicon.holds(folded(found[0]), near) for found in uncut(whole) if found.start() >= begins]
    return sum(own) / len(own) if own else math.nan


def word_share_of_excerpt(text: str, lexicon: Lexicon, context: str = "") -> float:
    """``word_share`` of a piece of a text that went on after ``context`` for a while: in [0, 1], NaN without a word.

    Its first and last word are left out, which may be cut. What stands between the two does not count as near: a
    broken word would be one for being written again.
    """
    near = frozenset(whole_words(context))
    own = [lexicon.holds(word, near) for word in whole_words(text)]
    return sum(own) / len(own) if own else math.nan


def word_shares(
    tokenizer: PreTrainedTokenizerBase,
    contexts: Sequence[Sequence[int]],
    written: Sequence[Sequence[int]],
    lexicon: Lexicon | None,
) -> list[float]:
    """``word_share`` of the text that each row of tokens adds to its context; NaN without a lexicon."""
    if lexicon is None:
        return [math.nan] * len(written)
    return [
        word_share(
            continuation_text(tokenizer, context, row),
            lexicon,
            excerpt(tokenizer, context),
        )
        for context, row in zip(contexts, written, strict=True)
    ]


def whole_words(text: str) -> Iterator[str]:
    """The words of an excerpt in small letters, without those at its ends, which may be cut."""
    return (folded(found[0]) for found in uncut(normalize("NFC", text)) if found.start() > 0)


def uncut(text: str) -> Iterator[re.Match[str]]:
    """The words that something follows that ends a word: not the text's end, nor a joiner before it."""
    end = len(text.rstrip(JOINERS))
    return (found for found in WORD.finditer(text) if found.end() < end)


def folded(word: str) -> str:
    """In small letters, with one kind of apostrophe."""
    return word.casefold().replace("’", "'")
