"""What environment.json says, and whether it can be what hyperfit wrote."""

import re
from collections.abc import Callable
from typing import Any

LARGEST = 2**63
"""Above what is counted here."""


def is_count(value: Any) -> bool:
    """A whole number of 0 or more."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST


def is_fingerprint(value: Any) -> bool:
    """Hexadecimal digits: files are named by them."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]+", value) is not None


def are_counts(value: Any) -> bool:
    """A list of whole numbers of 0 or more."""
    return isinstance(value, list) and all(map(is_count, value))


def is_cache(value: Any) -> bool:
    """The prefix cache that a run reads; None without one."""
    return value is None or (isinstance(value, dict) and isinstance(value.get("seconds"), int | float))


NEEDED: dict[str, Callable[[Any], bool]] = {
    "data_fingerprint": is_fingerprint,
    "processes": lambda value: is_count(value) and value > 0,
    "training_sequences": is_count,
    "trainable_parameters": is_count,
    "parameters": is_count,
    "adapted_blocks": are_counts,
    "blocks": is_count,
}
"""What every run's says → whether a value can be it."""
OTHERS: dict[str, Callable[[Any], bool]] = {
    "weights_fingerprint": is_fingerprint,
    "validation_sequences": is_count,
    "picture": lambda value: value is None or are_counts(value),
    "prefix_cache": is_cache,
    "versions": lambda value: isinstance(value, dict),
}
"""The same, of what runs of earlier versions may not say."""


def fault_of(found: Any) -> str | None:
    """What of environment.json cannot be what hyperfit wrote; None if all can."""
    if not isinstance(found, dict):
        return "it is no object with named fields"
    if missing := NEEDED.keys() - found.keys():
        return f"{min(missing)} is missing"
    known = NEEDED | OTHERS
    return next(
        (f"{name} cannot be that" for name, value in found.items() if name in known and not known[name](value)), None
    )
