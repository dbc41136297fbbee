"""Items: pairs of texts with the same context, and pairs with a known answer."""

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from hashlib import sha256
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Literal

from hyperfit.console import say
from hyperfit.errors import UserError
from hyperfit.image.completion.written import picture_of
from hyperfit.numbers import COUNT
from hyperfit.prefer.items.texts import Text, Texts, texts_of_file, texts_of_runs
from hyperfit.prefer.judgement import HUMAN, Choice
from hyperfit.prefer.settings import StudySettings

SHUFFLED = "human, words shuffled"
"""The condition of the worse text of a gold item; of a picture its pixels are shuffled."""
LEAST_WORDS = 12
"""Different ones, of a text whose shuffled words are plainly worse."""


@dataclass(frozen=True)
class Pair:
    """Two texts after one context."""

    id: str
    context_id: str
    context: str
    domain: str
    run: str
    first: str
    second: str
    first_text: str
    second_text: str
    tokens: int
    purpose: Literal["study", "gold"] = "study"
    expected: Choice | None = None


def pairs_of(runs: Sequence[Path], settings: StudySettings) -> list[Pair]:
    """All items of a study, gold ones last; the same for the same texts and settings.

    Raises UserError for texts that cannot be read or do not give any pair, and for conditions that there are not.
    """
    texts = texts_of_file(settings.texts) if settings.texts is not None else texts_of_runs(runs)
    wanted = chosen_conditions(texts, settings)
    pairs = list(matched(texts, wanted, settings))
    different = [pair for pair in pairs if pair.first_text.strip() != pair.second_text.strip()]
    if not different:
        what = "with the original text" if settings.design == "p1" else "with each other"
        raise UserError(f"--design {settings.design}: no two different texts to compare {what} share a context")
    if len(different) < len(pairs):
        say(
            f"{COUNT(len(pairs) - len(different))} of {COUNT(len(pairs))} pairs hold the same text twice: left out, "
            "as nobody could choose"
        )
    kept = set(stratified(different, settings))
    return [pair for pair in different if pair.context_id in kept] + gold(texts, kept, settings)


def chosen_conditions(texts: Texts, settings: StudySettings) -> list[str]:
    """The conditions to judge, the human one apart. Raises UserError for what there is not."""
    known = [name for name in texts if name != HUMAN]
    problems = [
        f"--conditions {name}: there is no such condition; there are {', '.join(known)}"
        for name in settings.conditions
        if name not in known
    ]
    wanted = [name for name in known if name in settings.conditions] if settings.conditions else known
    if settings.design == "p1" and HUMAN not in texts:
        problems.append(
            "--design p1: there are no original continuations to compare with; give texts with the field reference, "
            "or --design pairs"
        )
    if settings.design == "pairs" and len(wanted) < 2 and not problems:
        problems.append(f"--design pairs: {' '.join(wanted) or 'none'} is not two conditions; name two or more")
    if settings.gold and HUMAN not in texts:
        problems.append("--gold: is made from original continuations, and there are none; leave it out")
    if problems:
        raise UserError(*problems)
    return wanted


def matched(texts: Texts, wanted: Sequence[str], settings: StudySettings) -> Iterator[Pair]:
    """Every pair of texts that share a context, as the design says; several texts after one context in their order."""
    if settings.design == "p1":
        human = texts[HUMAN]
        for name in wanted:
            for key, text in texts[name].items():
                original = human.get(key) or human.get((text.context, 0))
                if original is not None:
                    yield pair_of(text, original, name, HUMAN)
    else:
        for first, second in combinations(wanted, 2):
            for key, text in texts[first].items():
                if key in texts[second]:
                    yield pair_of(text, texts[second][key], first, second)


def pair_of(first: Text, second: Text, first_name: str, second_name: str) -> Pair:
    """An item, named by all that it holds."""
    context, one, other = map(storable, (first.context, first.continuation, second.continuation))
    return Pair(
        id=digest(first_name, second_name, context, one, other),
        context_id=digest(context),
        context=context,
        domain=storable(first.domain),
        run=first.run,
        first=first_name,
        second=second_name,
        first_text=one,
        second_text=other,
        tokens=first.tokens or second.tokens or counted(context + one),
    )


def stratified(pairs: Sequence[Pair], settings: StudySettings) -> list[str]:
    """The contexts to judge, at most as many as the settings say: of each domain in turn, those with most pairs first.

    Among equals a draw decides.
    """
    draw = random.Random(f"contexts {settings.seed}")
    by_domain: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for pair in pairs:
        by_domain[pair.domain][pair.context_id] += 1
    queues = []
    for domain in sorted(by_domain):
        contexts = sorted(by_domain[domain])
        draw.shuffle(contexts)
        queues.append(sorted(contexts, key=lambda one, count=by_domain[domain]: -count[one]))  # type: ignore[misc]
    in_turn = [context for turn in zip_longest(*queues) for context in turn if context is not None]
    return in_turn[: settings.contexts]


def gold(texts: Texts, kept: set[str], settings: StudySettings) -> list[Pair]:
    """Original texts against their own words in another order; of contexts that are not judged, as far as there are."""
    if not settings.gold:
        return []
    draw = random.Random(f"gold {settings.seed}")
    originals = [text for text in texts[HUMAN].values() if len(set(text.continuation.split())) >= LEAST_WORDS]
    originals = sorted({text.context: text for text in originals}.values(), key=lambda text: text.context)
    draw.shuffle(originals)
    originals.sort(key=lambda text: digest(storable(text.context)) in kept)
    if len(originals) < settings.gold:
        raise UserError(
            f"--gold {settings.gold}: only {len(originals)} original texts have {LEAST_WORDS} different words; give "
            "fewer"
        )
    found = []
    for text in originals[: settings.gold]:
        words = text.continuation.split()
        while words == text.continuation.split():
            draw.shuffle(words)
        worse = replace(text, continuation=reordered(text.continuation, words))
        found.append(replace(pair_of(text, worse, HUMAN, SHUFFLED), purpose="gold", expected="first"))
    return found


def reordered(text: str, words: Sequence[str]) -> str:
    """The text with these words in place of its own, and a space before the first; its white space stays."""
    spaces = re.split(r"\S+", text)
    return (spaces[0] or " ") + "".join(f"{word}{space}" for word, space in zip(words, spaces[1:], strict=True))


def text_pairs_of(runs: Sequence[Path], settings: StudySettings) -> list[Pair]:
    """``pairs_of``. Raises UserError for pairs of pictures, which what reads text cannot judge."""
    pairs = pairs_of(runs, settings)
    if picture_of(pairs[0].context + pairs[0].first_text) is not None:
        given = "RUN" if settings.texts is None else f"--texts {settings.texts}"
        raise UserError(f"{given}: holds pictures, which only people judge; hyperfit prefer serve shows them")
    return pairs


def storable(text: str) -> str:
    """The text as every database holds it: NUL and halves of surrogate pairs are replaced by �."""
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def digest(*parts: str) -> str:
    """16 hexadecimal digits that stand for texts."""
    whole = "".join(f"{len(part)}:{part}" for part in parts)
    return sha256(whole.encode()).hexdigest()[:16]


@cache
def counted(text: str) -> int:
    """Tokens of a text under builtin:tiny, where a run does not tell; of a picture its pixels."""
    picture = picture_of(text)
    if picture is not None:
        return picture.size // 3
    from hyperfit.models.loading import load_tokenizer

    return len(load_tokenizer("builtin:tiny").encode(text, add_special_tokens=False))
