"""What somebody asks of the playground, read from a form."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from hyperfit.errors import UserError, collecting
from hyperfit.generation.decodings import DECODINGS, Decoding, parse_decoding
from hyperfit.generation.settings import HIGHEST_STRENGTH

LARGEST_SEED = 2**63 - 1


@dataclass(frozen=True)
class Asked:
    """One continuation of both models."""

    context: str
    decoding: Decoding
    new_tokens: int
    seed: int
    strength: float


def asked_of(form: Mapping[str, str], *, most_new_tokens: int, turns: bool) -> Asked:
    """What a form asks. Raises UserError with every problem, each in words for whoever filled it in.

    turns: whether a strength can be chosen.
    """
    problems: list[str] = []
    context = form.get("context", "").replace("\r\n", "\n")
    if not context.strip():
        problems.append("Context: type a text to continue, or pick one")
    new_tokens = whole("New tokens", form.get("new_tokens", ""), 1, most_new_tokens, problems)
    seed = whole("Seed", form.get("seed", "0"), 0, LARGEST_SEED, problems)
    strength = strength_of(form.get("strength", "1"), problems)
    if strength != 1 and not turns:
        problems.append("Strength: this run has none to choose")
    decoding = Decoding("greedy")
    with collecting(problems):
        decoding = decoding_of(form)
    if problems:
        raise UserError(*problems)
    return Asked(context, decoding, new_tokens, seed, strength)


def decoding_of(form: Mapping[str, str]) -> Decoding:
    """The decoding of a form, which has a field NAME.PARAMETER for each parameter. Raises UserError for a bad one."""
    name = form.get("decoding", "")
    given = [(one, form.get(f"{name}.{one}", "").strip()) for one in DECODINGS.get(name, {})]
    spelled = ",".join(f"{one}={value}" for one, value in given if value)
    return parse_decoding(f"{name}:{spelled}" if spelled else name, "Decoding")


def whole(what: str, text: str, low: int, high: int, problems: list[str]) -> int:
    """The whole number that a field holds; the lowest, with a problem, for another text."""
    digits = text.strip()
    if digits.isascii() and digits.isdigit() and len(digits) < 20 and low <= int(digits) <= high:
        return int(digits)
    problems.append(f"{what}: give a whole number from {low} to {high}")
    return low


def strength_of(text: str, problems: list[str]) -> float:
    """The strength that a field holds; 1, with a problem, for another text."""
    try:
        strength = float(text)
    except ValueError:
        strength = math.nan
    if 0 <= strength <= HIGHEST_STRENGTH:
        return strength
    problems.append(f"Strength: give a number from 0 to {HIGHEST_STRENGTH}")
    return 1.0
