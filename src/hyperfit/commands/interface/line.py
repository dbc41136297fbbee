"""What is wrong with a command line, said before anything is parsed: commands, flags and values that there are not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from difflib import get_close_matches
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from hyperfit.commands.interface.positional import (
    FLAG,
    POSITIONAL,
    Flag,
    described,
    flags_of,
    long_flag,
    positional_of,
    reads_as,
)
from hyperfit.errors import UserError

HELP = ("-h", "--help")


@dataclass(frozen=True)
class Given:
    """A flag as it stands on the line."""

    name: str
    """As it was typed, without a value."""
    flag: Flag | None
    """What it is; None for none."""
    values: list[str]


def check_command(name: str, commands: Mapping[str, object], of: str = "hyperfit") -> None:
    """Raises UserError for a command that there is not, with the one that was perhaps meant."""
    if name not in commands:
        raise UserError(f"{name}: {of} has no such command{perhaps(name, commands)}; there are {', '.join(commands)}")


def check_line(name: str, command: type, arguments: list[str], others: Mapping[str, type]) -> None:
    """Raises UserError with every problem of ``hyperfit NAME``'s arguments: what is wrong, or else what is missing.

    others: all commands, as a flag may be another's.
    """
    flags = flags_of(command)
    given, alone = read_line(flags, arguments)
    problems = [problem for one in given for problem in flag_problems(one, name, flags, others)]
    many = takes_many(command)
    if not problems and len(alone) > 1 and not many:
        wanted = positional_of(command)
        problems = [f"{' '.join(alone)}: hyperfit {name} takes one {wanted}; put what holds spaces in quotes"]
    if not problems and alone and positional_of(command) is None:
        problems = [f"{' '.join(alone)}: hyperfit {name} takes only flags (hyperfit {name} --help)"]
    if not problems and alone and not many:
        problems = positional_problems(command, alone[0])
    if not problems:
        named = {one.name.replace("_", "-") for one in given}
        problems = [f"{what} is missing; see hyperfit {name} --help" for what in missing(command, named, bool(alone))]
    if problems:
        raise UserError(*problems)


def read_line(flags: Mapping[str, Flag], arguments: list[str]) -> tuple[list[Given], list[str]]:
    """(flags with their values, what stands alone). A flag that there is not is taken to have one value."""
    given, alone, place = list[Given](), list[str](), 0
    while place < len(arguments):
        word, place = arguments[place], place + 1
        if not FLAG.match(word):
            alone.append(word)
            continue
        name, equals, value = word.partition("=")
        flag = flags.get(name if name in flags else name.replace("_", "-"))
        values = [value] if equals else []
        most = {"none": 0, "one": 1, "several": len(arguments)}[flag.values if flag else "one"]
        while place < len(arguments) and len(values) < most and not ends_values(arguments[place]):
            values.append(arguments[place])
            place += 1
        given.append(Given(name, flag, values))
    return given, [word for word in alone if word != "--"]


def ends_values(word: str) -> bool:
    """Whether a word is no value of the flag before it."""
    return word == "--" or FLAG.match(word) is not None


def given_settings(command: type, arguments: list[str]) -> set[str]:
    """The fields of a command whose flags stand on its line, by their own name."""
    given, _ = read_line(flags_of(command), arguments)
    return {one.name.removeprefix("--").replace("-", "_") for one in given}


def flag_problems(one: Given, name: str, flags: Mapping[str, Flag], others: Mapping[str, type]) -> Iterator[str]:
    """What is wrong with a flag as it was given."""
    if one.flag is None:
        if one.name in HELP:
            return
        elsewhere = [other for other, command in others.items() if one.name in flags_of(command)]
        hint = perhaps(one.name, flags) or (f" (it is one of hyperfit {elsewhere[0]})" if elsewhere else "")
        yield f"{one.name}: hyperfit {name} has no such flag{hint}; see hyperfit {name} --help"
    elif one.flag.values == "one" and not one.values:
        yield f"{one.name}: its value is missing; {wanted(one.flag.kind)}"
    else:
        for value in one.values:
            if not value:
                yield f'{one.name} "": is empty; {wanted(one.flag.kind)}, or leave the flag out'
            elif not any(reads_as(value, kind) for kind in kinds(one.flag.kind)):
                yield f"{one.name} {value}: {wanted(one.flag.kind)}{perhaps(value, choices(one.flag.kind))}"


def positional_problems(command: type, value: str) -> list[str]:
    """What is wrong with the positional's value: that it is not of its type."""
    (kind,) = (kind for _, kind, extras in described(command) if POSITIONAL in extras)
    if not value:
        return [f'{positional_of(command)} "": is empty; {wanted(kind)}']
    right = any(reads_as(value, one) for one in kinds(kind))
    return [] if right else [f"{positional_of(command)} {value}: {wanted(kind)}"]


def perhaps(typed: str, known: Iterable[str]) -> str:
    """(did you mean ...?), behind a space, where something known is spelled much like it; else ""."""
    by_word = {one.lstrip("-"): one for one in known}
    close = [by_word[word] for word in get_close_matches(typed.lstrip("-"), by_word, n=2)]
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def kinds(kind: Any) -> tuple[Any, ...]:
    """The types of which a value can be."""
    return get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)


def choices(kind: Any) -> tuple[str, ...]:
    """The values to choose from, in their order; none where any will do."""
    return tuple(value for one in kinds(kind) if get_origin(one) is Literal for value in get_args(one))


def wanted(kind: Any) -> str:
    """What to give for a flag; where there are choices, these alone: None among them is to leave the flag out."""
    if found := choices(kind):
        return f"give {' or '.join(found)}" if len(found) == 2 else f"give one of {', '.join(found)}"
    names = {int: "a whole number", float: "a number", NoneType: "None"}
    return f"give {', or '.join(names.get(one, 'a text') for one in kinds(kind))}"


def takes_many(command: type) -> bool:
    """Whether a command's positional may be several."""
    return any(POSITIONAL in extras and get_origin(kind) is tuple for _, kind, extras in described(command))


def missing(command: type, named: set[str], alone: bool) -> Iterator[str]:
    """The positional and the flags that have to be given and are not."""
    required = {field.name for field in fields(command) if field.default is MISSING}
    for name, _, extras in described(command):
        flag = long_flag(name, extras)
        if name in required and POSITIONAL in extras and not alone:
            yield str(positional_of(command))
        elif name in required and POSITIONAL not in extras and flag not in named:
            yield flag
