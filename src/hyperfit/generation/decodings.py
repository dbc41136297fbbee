"""Decodings by name: their parameters, with defaults, ranges and sources, and how a user spells them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from hyperfit.errors import UserError


@dataclass(frozen=True)
class Parameter:
    """A number that a decoding takes; a whole one where its default is an int."""

    default: float
    low: float
    """The least that is allowed."""
    high: float
    """The most that is allowed."""
    what: str
    """Its meaning, in a few words."""

    def read(self, text: str) -> float | None:
        """The number that ``text`` spells; None if it spells none, or one out of range."""
        try:
            value = int(text) if isinstance(self.default, int) else float(text)
        except ValueError:
            return None
        return value if self.low <= value <= self.high else None

    @property
    def remedy(self) -> str:
        """What to give instead of a bad value."""
        kind = "a whole number" if isinstance(self.default, int) else "a number"
        return f"give {kind} from {spelled(self.low)} to {spelled(self.high)} ({self.what})"


def _temperature(default: float = 1.0) -> Parameter:
    return Parameter(default, 0.01, 100.0, "logits are divided by it; 1 leaves them")


DECODINGS: dict[str, dict[str, Parameter]] = {
    "greedy": {},
    "nucleus": {
        "top_p": Parameter(0.9, 0.0, 1.0, "the likeliest tokens with this much probability stay; 1 keeps all"),
        "temperature": _temperature(0.7),
        "top_k": Parameter(50, 0, 2**31, "only as many of the likeliest tokens stay; 0 keeps all"),
    },
    "top-k": {
        "top_k": Parameter(40, 1, 2**31, "as many of the likeliest tokens stay"),
        "temperature": _temperature(),
    },
    "min-p": {
        "min_p": Parameter(0.1, 0.0, 1.0, "tokens stay that have this share of the likeliest one's probability"),
        "temperature": _temperature(),
    },
    "typical": {
        "typical_p": Parameter(0.95, 0.001, 1.0, "the most typical tokens with this much probability stay"),
        "temperature": _temperature(),
    },
    "eta": {
        "eta_cutoff": Parameter(0.0009, 1e-9, 0.999, "epsilon: the probability below which tokens may go"),
        "temperature": _temperature(),
    },
    "contrastive": {
        "penalty_alpha": Parameter(0.6, 0.0, 1.0, "weight of the likeness to earlier states; 0 is greedy"),
        "top_k": Parameter(4, 1, 1024, "candidates of a step"),
    },
    "beam": {
        "num_beams": Parameter(5, 2, 1024, "texts kept side by side"),
        "length_penalty": Parameter(1.0, -10.0, 10.0, "scores are divided by the length to this power"),
    },
    "repetition-penalty": {
        "repetition_penalty": Parameter(1.2, 0.01, 100.0, "logits of tokens already there are divided by it"),
    },
    "no-repeat-ngram": {
        "no_repeat_ngram_size": Parameter(3, 1, 1024, "tokens of a sequence that may not come twice"),
    },
}
"""Every decoding with its parameters, named as transformers names them.

================== ===================================================================================================
greedy             the likeliest token each time
nucleus            sampling from the 0.9 nucleus of the 50 likeliest tokens at temperature 0.7: the baseline of
                   Carlsson et al. (ICLR 2025); the method is of Holtzman et al. (ICLR 2020)
top-k              sampling from the 40 likeliest tokens: Fan et al. (ACL 2018), with k of Radford et al. (GPT-2, 2019)
min-p              tokens of at least 0.1 of the likeliest one's probability: Nguyen et al. (ICLR 2025)
typical            tokens whose information is closest to the entropy, 0.95 of the probability: Meister et al. (TACL
                   2023)
eta                tokens above min(epsilon, sqrt(epsilon) exp(-entropy)): Hewitt et al. (Findings of EMNLP 2022), who
                   take epsilon between 0.0003 and 0.002 by the size of the model
contrastive        the best of 4 candidates by (1 - alpha) probability - alpha likeness to what came before, alpha 0.6:
                   Su et al. (NeurIPS 2022)
beam               beam search, 5 texts side by side, scores divided by their length; no source: usual values
repetition-penalty greedy, logits of tokens that stand in context or text divided by 1.2 (multiplied where negative):
                   Keskar et al. (CTRL, 2019)
no-repeat-ngram    greedy, no 3 tokens of context and text twice: Paulus et al. (ICLR 2018)
================== ===================================================================================================

Sampling decodings other than nucleus have a temperature of 1. Plain sampling is ``nucleus:top_p=1,top_k=0``.
"""


def spellings() -> str:
    """All decodings with their defaults, as a user would spell them out."""
    return "; ".join(
        name + (":" if parameters else "") + ",".join(f"{one}={spelled(p.default)}" for one, p in parameters.items())
        for name, parameters in DECODINGS.items()
    )


@dataclass(frozen=True)
class Decoding:
    """A decoding with all its parameters. Raises UserError for a name or a value that there is not.

    ``Decoding("nucleus", (("top_p", 0.95),))`` is what ``nucleus:top_p=0.95`` spells; what is left out has its default.
    """

    name: str
    parameters: tuple[tuple[str, float], ...] = ()
    """(name, value) of every parameter, in the order of DECODINGS."""

    def __post_init__(self) -> None:
        spelling = ",".join(f"{key}={spelled(value)}" for key, value in self.parameters)
        values, problems = _read(f"{self.name}:{spelling}" if spelling else self.name, "decoding")
        if problems:
            raise UserError(*problems)
        object.__setattr__(self, "parameters", values)

    @property
    def settings(self) -> dict[str, float]:
        """The parameters as a mapping."""
        return dict(self.parameters)

    @property
    def file_name(self) -> str:
        """How files are named after it: without the colon, which some systems forbid."""
        return str(self).replace(":", "_")

    def __str__(self) -> str:
        """The shortest spelling: only what differs from the defaults. Equal decodings are spelled alike."""
        defaults = DECODINGS[self.name]
        changed = [f"{key}={spelled(value)}" for key, value in self.parameters if value != defaults[key].default]
        return ":".join([self.name, *([",".join(changed)] if changed else [])])


def parse_decoding(text: str, flag: str = "--decoding") -> Decoding:
    """``NAME`` or ``NAME:parameter=value,parameter=value``. Raises UserError with every problem, named by the flag."""
    if problems := decoding_problems([text], flag):
        raise UserError(*problems)
    return Decoding(text.partition(":")[0], _read(text, flag)[0])


def decoding_problems(texts: Iterable[str], flag: str) -> list[str]:
    """What is wrong with spelled decodings: unknown names and parameters, and values that are no numbers in range."""
    return [problem for text in texts for problem in _read(text, flag)[1]]


def spelled(value: float) -> str:
    """The shortest spelling that reads back as the same number."""
    return str(int(value)) if math.isfinite(value) and value == int(value) else repr(float(value))


def _read(text: str, flag: str) -> tuple[tuple[tuple[str, float], ...], list[str]]:
    """(every parameter with its value, problems)"""
    name, colon, rest = text.partition(":")
    if name not in DECODINGS:
        return (), [f"{flag} {text}: no such decoding; give one of {', '.join(DECODINGS)}"]
    known, given, problems = DECODINGS[name], dict[str, float](), list[str]()
    takes = f"{name} takes {', '.join(known)}" if known else f"{name} takes no parameters"
    for piece in rest.split(",") if colon else []:
        key, equals, value = (part.strip() for part in piece.partition("="))
        if not equals:
            problems.append(f"{flag} {text}: {piece!r} is no parameter=value; {takes}")
        elif key not in known:
            problems.append(f"{flag} {text}: no parameter {key}; {takes}")
        elif key in given:
            problems.append(f"{flag} {text}: {key} is given twice; give it once")
        elif (number := known[key].read(value)) is None:
            problems.append(f"{flag} {text}: {key} cannot be {value or 'empty'}; {known[key].remedy}")
        else:
            given[key] = number
    return tuple((key, given.get(key, parameter.default)) for key, parameter in known.items()), problems
