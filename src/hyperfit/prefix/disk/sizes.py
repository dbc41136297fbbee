"""Sizes and ages as people write them: 10GB, 7d."""

import re

from hyperfit.errors import UserError

SIZES = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
"""Decimal units → bytes."""
AGES = {"m": 60, "h": 3600, "d": 86400}
"""Minutes, hours, days → seconds."""


def readable(size: int) -> str:
    """Bytes for people, in decimal KB, MB, GB or TB."""
    name = next((name for name in reversed(SIZES) if size >= SIZES[name]), "KB")
    return f"{size / SIZES[name]:.1f} {name}"


def size_from(text: str, flag: str) -> int:
    """Bytes of a size such as 10GB or 1.5 TB, also in small letters. Raises UserError that names the flag."""
    return round(_amount(text.upper(), SIZES, f"{flag} {text}: give a size in KB, MB, GB or TB, such as 10GB"))


def age_from(text: str, flag: str) -> float:
    """Seconds of a time such as 90m, 12h or 7d. Raises UserError that names the flag."""
    return _amount(text, AGES, f"{flag} {text}: give minutes, hours or days, such as 90m, 12h or 7d")


def _amount(text: str, units: dict[str, int], refusal: str) -> float:
    found = re.fullmatch(rf"\s*(\d+(?:\.\d+)?)\s*({'|'.join(units)})\s*", text, re.ASCII)
    if found is None:
        raise UserError(refusal)
    return float(found[1]) * units[found[2]]
