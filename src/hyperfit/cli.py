"""The command line: parse, run one command, and turn failures into messages and exit statuses."""

import inspect
import io
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from itertools import pairwise
from typing import Annotated

import docstring_parser
import tyro
from docstring_parser import Docstring
from tyro.conf import FlagCreatePairsOff, subcommand

from hyperfit import __version__
from hyperfit.commands.cache import Cache
from hyperfit.commands.demo import Demo
from hyperfit.commands.evaluate import Evaluate
from hyperfit.commands.generate import Generate
from hyperfit.commands.mechanism import Mechanism
from hyperfit.commands.positional import positional_first
from hyperfit.commands.report import Report
from hyperfit.commands.study import StudyCommand
from hyperfit.commands.train import Train
from hyperfit.errors import UserError
from hyperfit.recipes.presets import PRESETS
from hyperfit.recipes.recipe import Recipe

WITH_POSITIONAL = {
    "train": Train,
    "evaluate": Evaluate,
    "generate": Generate,
    "mechanism": Mechanism,
}
"""Commands whose positional can stand behind a flag that takes several values."""
Command = Demo | Train | Evaluate | Generate | Report | Mechanism | StudyCommand | Cache


def dedented(of: object, read: Callable[..., Docstring] = docstring_parser.parse_from_object) -> Docstring:
    """What a class says of its fields, without the indentation of second lines: tyro takes each for a paragraph."""
    found = read(of)
    for field in found.params:
        field.description = field.description and inspect.cleandoc(field.description)
    return found


def parse(arguments: list[str]) -> Command:
    """The command that the arguments spell. --preset sets the defaults of train's other flags.

    Raises UserError where more than one value could be the command's RUN or MODEL.
    """
    if (name := "".join(arguments[:1])) in WITH_POSITIONAL:
        arguments = [name, *positional_first(WITH_POSITIONAL[name], arguments[1:])]
    preset = next((after for flag, after in pairwise(arguments) if flag == "--preset"), None)
    preset = next((flag.partition("=")[2] for flag in arguments if flag.startswith("--preset=")), preset)
    recipe = (
        PRESETS[preset](tyro.MISSING, tyro.MISSING)
        if preset in PRESETS
        else Recipe(model=tyro.MISSING, data=tyro.MISSING)
    )
    docstring_parser.parse_from_object = dedented  # type: ignore[assignment]
    defaults = Train(**{field.name: getattr(recipe, field.name) for field in fields(Recipe)})
    commands = (
        Annotated[Demo, subcommand("demo")]
        | Annotated[Train, subcommand("train", default=defaults)]
        | Annotated[Evaluate, subcommand("evaluate")]
        | Annotated[Generate, subcommand("generate")]
        | Annotated[Report, subcommand("report")]
        | Annotated[Mechanism, subcommand("mechanism")]
        | Annotated[StudyCommand, subcommand("study")]
        | Annotated[Cache, subcommand("cache", prefix_name=False)]
    )
    return tyro.cli(commands, args=arguments, prog="hyperfit", config=(FlagCreatePairsOff,))


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
