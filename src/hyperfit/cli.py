"""The command line: parse, run one command, and turn failures into messages and exit statuses."""

import io
import os
import sys
from dataclasses import fields
from itertools import pairwise
from typing import NoReturn

import tyro
from tyro.conf import FlagCreatePairsOff

from hyperfit import __version__
from hyperfit.commands.cache import Cache, CacheClear, CacheList
from hyperfit.commands.complete import Complete
from hyperfit.commands.demo import Demo
from hyperfit.commands.evaluate import Evaluate
from hyperfit.commands.export import ExportCommand
from hyperfit.commands.generate import Generate
from hyperfit.commands.interface.help import command_help, overview
from hyperfit.commands.interface.line import HELP, check_command, check_line, given_settings
from hyperfit.commands.interface.positional import positional_first
from hyperfit.commands.judge import Judge
from hyperfit.commands.mechanism import Mechanism
from hyperfit.commands.plan import PlanCommand
from hyperfit.commands.play import Play
from hyperfit.commands.prefer import Prefer, PreferExport, PreferInvite, PreferServe
from hyperfit.commands.prefer_score import PreferScore
from hyperfit.commands.report import Report
from hyperfit.commands.study import StudyCommand
from hyperfit.commands.train import Train
from hyperfit.errors import UserError
from hyperfit.recipes.presets import PRESETS
from hyperfit.recipes.recipe import Recipe

COMMANDS = {
    "demo": Demo,
    "plan": PlanCommand,
    "train": Train,
    "evaluate": Evaluate,
    "generate": Generate,
    "complete": Complete,
    "report": Report,
    "export": ExportCommand,
    "mechanism": Mechanism,
    "study": StudyCommand,
    "judge": Judge,
    "play": Play,
}
FAMILIES: dict[str, tuple[type, dict[str, type]]] = {
    "prefer": (Prefer, {"serve": PreferServe, "invite": PreferInvite, "export": PreferExport, "score": PreferScore}),
    "cache": (Cache, {"list": CacheList, "clear": CacheClear}),
}
"""Word before several commands → (what they are for, the commands)."""
ABOUT = "Make a language model that loops under greedy decoding one that writes, and study why that works."
Command = (
    Demo
    | PlanCommand
    | Train
    | Evaluate
    | Generate
    | Complete
    | Report
    | ExportCommand
    | Mechanism
    | StudyCommand
    | Judge
    | Play
    | PreferServe
    | PreferInvite
    | PreferExport
    | PreferScore
    | CacheList
    | CacheClear
)


def parse(arguments: list[str]) -> Command:
    """The command that the arguments spell; help, where they ask for it, is printed. --preset sets train's defaults.

    Raises UserError for a command, flags or values that there are not, for what is missing, for flags that have no
    effect beside the others, and where more than one value could be the command's RUN or MODEL.
    """
    name, rest = chosen(arguments)
    members = {f"{family} {what}": one for family, (_, of) in FAMILIES.items() for what, one in of.items()}
    command = {**COMMANDS, **members}[name]
    defaults = train_defaults(rest) if command is Train else None
    if any(flag in rest for flag in HELP):
        show(command_help(name, command, defaults))
    rest = positional_first(command, rest)
    check_line(name, command, rest, COMMANDS)
    parsed: Command = tyro.cli(  # type: ignore[call-overload]
        command,
        args=rest,
        prog=f"hyperfit {name}",
        config=(FlagCreatePairsOff,),
        **({} if defaults is None else {"default": defaults}),
    )
    if isinstance(parsed, Train):
        parsed.check_effect(given_settings(Train, rest))
    return parsed


def chosen(arguments: list[str]) -> tuple[str, list[str]]:
    """(name of the command, what follows it). Without a command, or with --help in its place, all are told."""
    families = {family: about for family, (about, _) in FAMILIES.items()}
    name = chosen_of({**COMMANDS, **families}, arguments, "hyperfit", ABOUT)
    if name not in FAMILIES:
        return name, arguments[1:]
    what = chosen_of(FAMILIES[name][1], arguments[1:], f"hyperfit {name}", "")
    return f"{name} {what}", arguments[2:]


def chosen_of(commands: dict[str, type], arguments: list[str], of: str, about: str) -> str:
    """The first argument, if it is one of the commands. Without one, or with --help in its place, all are told."""
    name = "".join(arguments[:1])
    if not name or name in HELP:
        show(overview(commands, of, about), 0 if name else 2)
    check_command(name, commands, of)
    return name


def show(text: str, status: int = 0) -> NoReturn:
    """Print help, and leave."""
    print(text, end="", file=sys.stderr if status else sys.stdout)
    raise SystemExit(status)


def train_defaults(arguments: list[str]) -> Train:
    """The values of train's flags that are not given: those of its preset, if one is."""
    preset = next((after for flag, after in pairwise(arguments) if flag == "--preset"), None)
    preset = next((flag.partition("=")[2] for flag in arguments if flag.startswith("--preset=")), preset)
    recipe = (
        PRESETS[preset](tyro.MISSING, tyro.MISSING)
        if preset in PRESETS
        else Recipe(model=tyro.MISSING, data=tyro.MISSING)
    )
    return Train(**{field.name: getattr(recipe, field.name) for field in fields(Recipe)})


def main(arguments: list[str] | None = None) -> None:
    """Entry point: exit status 0, 2 for what the user can mend, 130 after Ctrl-C or SIGTERM, 1 for a bug."""
    arguments = sys.argv[1:] if arguments is None else arguments
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait sleep: see benchmarks/waiting_threads.py
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # texts hold what a terminal may not
    try:
        if arguments == ["--version"]:
            print(f"hyperfit {__version__}")
        else:
            parse(arguments).run()
        if sys.stdout is not None:
            sys.stdout.flush()
    except UserError as error:
        for problem in error.problems:
            print(f"hyperfit: {problem}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:  # whoever read the output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:  # no space, no permission, a read-only disk
        print(
            f"hyperfit: {error.filename or 'output'}: {error.strerror or error}; mend that and repeat", file=sys.stderr
        )
        raise SystemExit(2) from None
