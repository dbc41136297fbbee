"""Where a command's RUN or MODEL stands behind a flag that takes several values, and would be read as one of them."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from tyro.conf import Positional

from hyperfit.errors import UserError

POSITIONAL = get_args(Positional[str])[1]
"""What marks a field that is no flag."""
FLAG = re.compile(r"--?[A-Za-z]")
"""How a flag begins: -0.5 is a value."""
MODELS = ("recipe.json", "config.json", "adapter_config.json")
"""Files of which a run's or a model's folder holds one."""


@dataclass(frozen=True)
class Flag:
    """How a flag of a command is read."""

    values: Literal["none", "one", "several"]
    kind: Any
    """Type of a value."""


@dataclass(frozen=True)
class Candidate:
    """The last value of a flag that takes several: perhaps not its own."""

    flag: str
    place: int
    """In the arguments."""
    value: str
    sure: bool
    """Whether it can only be the positional: it is no value of the flag's type, or a run or a model lies there."""


def positional_first(command: type, arguments: list[str]) -> list[str]:
    """The arguments after a command's name, with the positional in front if it was the last value of a list flag.

    Unchanged where a positional stands by itself, where none is needed (one of the command's ``positional_unless`` is
    given), and where nothing could be it. A value that can be what its flag takes is left to it, if it is the only
    one or the type is a number or a choice. Raises UserError where several values could be the positional.
    """
    name = positional_of(command)
    given = {flag.partition("=")[0] for flag in arguments}
    if name is None or given & set(getattr(command, "positional_unless", ())):
        return arguments
    found = list(candidates(flags_of(command), arguments))
    found = [one for one in found if one.sure] or found
    if len(found) > 1:
        which = " or ".join(f"{one.value} (behind {one.flag})" for one in found)
        raise UserError(f"{name} is missing, or is it {which}? Give it first, before all flags")
    return [one.value for one in found] + [
        value for place, value in enumerate(arguments) if all(place != one.place for one in found)
    ]


def candidates(flags: dict[str, Flag], arguments: list[str]) -> Iterator[Candidate]:
    """What could be the missing positional; nothing where one is there, or where the line cannot be read."""
    place, found = 0, list[Candidate]()
    while place < len(arguments):
        name, equals, value = arguments[place].partition("=")
        flag = flags.get(name.replace("_", "-")) if FLAG.match(name) else None
        if flag is None:  # the positional, or --, or a flag that there is not
            return
        values, place = [value] if equals else [], place + 1
        while place < len(arguments) and not FLAG.match(arguments[place]) and arguments[place] != "--":
            if flag.values == "none" or (flag.values == "one" and values):
                return  # the positional stands by itself
            values.append(arguments[place])
            place += 1
        if flag.values == "several" and len(values) > bool(equals):
            sure = is_model(values[-1]) or not reads_as(values[-1], flag.kind)
            if sure or (flag.kind is str and len(values) > 1):
                found.append(Candidate(name, place - 1, values[-1], sure))
    yield from found


def is_model(value: str) -> bool:
    """Whether a run or a model lies there."""
    return any(os.path.isfile(os.path.join(value, file)) for file in MODELS)  # not of Path: a prompt can be too long


def reads_as(value: str, kind: Any) -> bool:
    """Whether the value is one of a flag's type, as it is typed."""
    if kind is NoneType:
        return value == "None"
    if get_origin(kind) is Literal:
        return value in get_args(kind)
    try:
        kind(value)
    except ValueError:
        return False
    return True


def positional_of(command: type) -> str | None:
    """What a command's usage calls its positional; None if it has none."""
    for _, _, extras in described(command):
        if POSITIONAL in extras:
            return next(
                str(extra.metavar).strip("[]").split()[0] for extra in extras if getattr(extra, "metavar", None)
            )
    return None


def flags_of(command: type) -> dict[str, Flag]:
    """The command's flags, as a user types them."""
    found: dict[str, Flag] = {}
    for name, kind, extras in described(command):
        if POSITIONAL not in extras:
            options = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
            lists = [get_args(option)[0] for option in options if get_origin(option) is tuple]
            flag = Flag("several", lists[0]) if lists else Flag("none" if kind is bool else "one", kind)
            aliases = [alias for extra in extras for alias in getattr(extra, "aliases", None) or ()]
            found |= dict.fromkeys([long_flag(name, extras), *aliases], flag)
    return found


def long_flag(field: str, extras: tuple[Any, ...]) -> str:
    """A field's flag: its name, or the one that is given with its type."""
    name = next((str(extra.name) for extra in extras if getattr(extra, "name", None)), field)
    return f"--{name.replace('_', '-')}"


def described(command: type) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """(name, type, what is said of it to tyro) of each field of a command."""
    hints = get_type_hints(command, include_extras=True)
    for field in fields(command):
        kind = hints[field.name]
        annotated = get_origin(kind) is Annotated
        yield field.name, get_args(kind)[0] if annotated else kind, get_args(kind)[1:] if annotated else ()
