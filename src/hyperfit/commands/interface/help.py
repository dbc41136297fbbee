"""The help of a command: what it does, its positional, and its flags in groups, wrapped between words."""

import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from types import NoneType
from typing import Any, get_origin

import docstring_parser

from hyperfit.commands.interface.line import choices, kinds
from hyperfit.commands.interface.positional import POSITIONAL, described, long_flag, positional_of

WIDEST, FLAGS = 100, 24
"""Columns of the help at most, and those before a flag's explanation."""
KINDS = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
"""What stands for a value."""
REST = "other"
"""The group of flags that no group names."""


def overview(commands: Mapping[str, type], of: str = "hyperfit", about: str = "") -> str:
    """All commands, each with its first sentence."""
    wide = columns()
    lines = [f"usage: {of} {{{','.join(commands)}}} ...", "", *filled(about, wide, "")]
    lines += [""] if about else []
    for name, command in commands.items():
        lines += entry(name, paragraphs(command)[0], wide)
    return "\n".join([*lines, "", f"{of} COMMAND --help says more of each."]) + "\n"


def command_help(name: str, command: type, defaults: Any = None) -> str:
    """The help of ``hyperfit NAME``. defaults: an instance whose values stand for those of the class."""
    wide, positional, told = columns(), positional_of(command), explanations(command)
    lines = [f"usage: hyperfit {name}{f' {positional_usage(command)}' if positional else ''} [flags]", ""]
    for paragraph in paragraphs(command):
        lines += [*filled(paragraph, wide, ""), ""]
    about = {field: (kind, extras) for field, kind, extras in described(command)}
    for title, names in groups(command).items():
        lines.append(f"{title}:")
        for field in names:
            kind, extras = about[field]
            text = f"{said(extras) or told[field]} {default(command, field, kind, defaults)}".strip()
            lines += entry(spelled(field, kind, extras), text, wide)
        lines.append("")
    return "\n".join([*lines, *entry("-h, --help", "Show this.", wide)]) + "\n"


def columns() -> int:
    """How wide the help is: the terminal, but no wider than is easily read."""
    return min(shutil.get_terminal_size().columns, WIDEST)


def groups(command: type) -> dict[str, tuple[str, ...]]:
    """Title → fields: the positional, then the command's own ``groups``, then what these do not name."""
    extras = {field: extra for field, _, extra in described(command)}
    positional = tuple(field for field in extras if POSITIONAL in extras[field])
    own: dict[str, tuple[str, ...]] = getattr(command, "groups", {})
    grouped = {*positional, *(field for names in own.values() for field in names)}
    rest = tuple(field for field in extras if field not in grouped)
    found = {"positional": positional, **own, (REST if own else "flags"): rest}
    return {title: names for title, names in found.items() if names}


def explanations(command: type) -> dict[str, str]:
    """Field → the words below it, those of base classes too, in one paragraph."""
    found: dict[str, str] = {}
    for one in reversed(command.__mro__[:-1]):
        for field in docstring_parser.parse_from_object(one).params:
            found[field.arg_name] = " ".join((field.description or "").replace("``", "").split())
    return found


def paragraphs(command: type) -> list[str]:
    """What a command's docstring says."""
    return [" ".join(one.split()) for one in inspect.cleandoc(command.__doc__ or "").split("\n\n")]


def said(extras: tuple[Any, ...]) -> str:
    """The explanation that stands with a field's type, or ""."""
    return next((str(extra.help) for extra in extras if getattr(extra, "help", None)), "")


def positional_usage(command: type) -> str:
    """The positional as the usage line has it: in brackets where it can be left out."""
    found = (extras for _, _, extras in described(command) if POSITIONAL in extras)
    return next(str(extra.metavar) for extras in found for extra in extras if getattr(extra, "metavar", None))


def spelled(field: str, kind: Any, extras: tuple[Any, ...]) -> str:
    """A flag with its other names and what it takes: -o, --output PATH."""
    metavar = next((str(extra.metavar) for extra in extras if getattr(extra, "metavar", None)), None)
    if POSITIONAL in extras:
        return str(metavar)
    names = [alias for extra in extras for alias in getattr(extra, "aliases", None) or ()]
    flags = ", ".join([*names, long_flag(field, extras)])
    return flags if kind is bool else f"{flags} {metavar or takes(kind)}"


def takes(kind: Any) -> str:
    """What stands for a flag's values: N, TEXT, {auto,off}, [N ...]."""
    (first, *_) = (one for one in kinds(kind) if one is not NoneType)
    if get_origin(first) is tuple:
        return f"[{takes(first.__args__[0])} ...]"
    return f"{{{','.join(choices(first))}}}" if choices(first) else KINDS[first]


def default(command: type, field: str, kind: Any, defaults: Any) -> str:
    """(default: ...), (required), or "" where the explanation says what is taken instead."""
    (value,) = (one.default for one in fields(command) if one.name == field)
    if value is MISSING:
        return "(required)"
    value = value if defaults is None else getattr(defaults, field)
    if kind is bool or value is None or value == ():
        return ""
    shown = " ".join(map(str, value)) if isinstance(value, tuple) else str(value)
    return f"(default: {shown})"


def entry(left: str, text: str, wide: int) -> Iterator[str]:
    """A flag and its explanation, beside each other where there is room."""
    body = filled(text, wide, " " * FLAGS)
    if len(left) + 4 <= FLAGS and body:
        yield f"  {left}".ljust(FLAGS) + body[0].lstrip()
        yield from body[1:]
    else:
        yield f"  {left}"
        yield from body


def filled(text: str, wide: int, indent: str) -> list[str]:
    """A paragraph in lines that break between words only."""
    return textwrap.wrap(
        re.sub(r"\s+", " ", text),
        wide,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )
