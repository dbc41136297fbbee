"""Every command that the documents tell to type is one that there is, with flags and values that it takes."""

import re
import tomllib
from itertools import dropwhile
from pathlib import Path

import pytest

from documented import NOTES, PAGES, ROOT, Command, commands, mentions
from hyperfit.cli import COMMANDS, FAMILIES, parse
from hyperfit.commands.interface.positional import flags_of
from hyperfit.errors import UserError
from hyperfit.studies.catalogue import STUDIES

NAMED = {**COMMANDS, **{f"{family} {what}": one for family, (_, of) in FAMILIES.items() for what, one in of.items()}}
TARGETS = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
LAUNCHERS = ("accelerate", "torchrun")
"""Programs that start hyperfit in several processes."""
SETTING = re.compile(r"[A-Z0-9_]+=\w+")
"""Of the environment, before a command."""
OTHERS = {".", "caddy", "cp", "curl", "hf", "hyperfit", "llama-completion", "make", "pip", "python", "vllm"}
"""Programs that documents call."""


def problems(command: Command) -> list[str]:
    """What is wrong with a command."""
    program, *words = dropwhile(SETTING.fullmatch, command.words)
    if program in LAUNCHERS:
        program, *words = words[words.index("hyperfit") :]
    match program:
        case "hyperfit":
            try:
                parse(words)
            except SystemExit:  # --help
                return []
            except UserError as error:
                return [f"{command}: {problem}" for problem in error.problems]
        case "make":
            return [f"{command}: no such target" for target in words if target not in TARGETS]
        case "pip":
            extras = {extra for word in words for found in re.findall(r"\[(.*)\]", word) for extra in found.split(",")}
            return [f"{command}: no extra {extra}" for extra in extras - set(EXTRAS)]
        case "python" if words[0] != "-c":
            return [] if (ROOT / words[0]).is_file() else [f"{command}: no such file"]
    return [] if program in OTHERS else [f"{command}: no program that documents call; or is the block no shell's?"]


@pytest.mark.parametrize("page", [*PAGES, *NOTES])
def test_commands_are_taken(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if page == "docs/howto/extend.md":
        monkeypatch.setitem(STUDIES, "rank", STUDIES["late-stage"])  # which the page adds
    assert [problem for command in commands(page) for problem in problems(command)] == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES])
def test_what_stands_between_words_names_flags_of_the_command(page: str) -> None:
    wrong = []
    for command in mentions(page):
        name = next((name for name in NAMED if (*name.split(),) == command.words[1 : 1 + len(name.split())]), None)
        if name is None:
            if not command.words[1].isupper() and command.words[1] not in FAMILIES:
                wrong.append(f"{command}: no such command")
            continue
        flags = {word.partition("=")[0] for word in command.words if word.startswith("-")} - {"--help"}
        wrong += [f"{command}: no flag {flag}" for flag in flags - set(flags_of(NAMED[name]))]
    assert wrong == []


@pytest.mark.parametrize("page", [*PAGES, *NOTES])
def test_what_stands_between_words_is_taken_but_for_what_is_left_out(page: str) -> None:
    assert [problem for command in mentions(page) for problem in problems(command) if not part(problem)] == []


def part(problem: str) -> bool:
    """Whether a problem is that of a command which is only named in part, or with a word in place of a value."""
    of = problem.partition(".md: ")[2].partition(": ")[2]  # behind the page and the command
    return bool(re.search(r"is missing|^--prompt: give a text|^((--[a-z-]+|study) )?([A-Z]+|[a-z]+(\|[a-z]+)+): ", of))


def test_mistakes_are_found() -> None:
    """A flag that there is not, a value out of range, a target, an extra and a file that there are not."""
    wrong = ["hyperfit train m --data d --ranks 4", "hyperfit train m --data d --rank 0", "make all", "nginx -t"]
    wrong += ["pip install -e .[all]", "python benchmarks/none.py"]
    assert all(len(problems(Command("page", tuple(line.split())))) == 1 for line in wrong)
    assert not any(part(problem) for line in wrong for problem in problems(Command("page.md", tuple(line.split()))))
    left_out = ["hyperfit train --rank 4", "hyperfit train m --data d --rank RANK", "hyperfit cache list|clear"]
    assert all(
        (found := problems(Command("page.md", tuple(line.split())))) and all(map(part, found)) for line in left_out
    )
    right = ["hyperfit train m --data d --rank 4", "make demo", "pip install -e .[prefer]"]
    assert all(problems(Command("page", tuple(line.split()))) == [] for line in right)


def test_commands_are_read_as_a_shell_reads_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        'Type `hyperfit play RUN`.\n\n```\nhyperfit train m \\\n    --data "my texts"   # not this\n\nmake demo\n'
        "```\n\n"
        "```text\nnot this\n```\n\n```python\nnor = this\n```\n"
    )
    monkeypatch.setattr("documented.ROOT", tmp_path)
    assert [one.words for one in commands("page.md")] == [
        ("hyperfit", "train", "m", "--data", "my texts"),
        ("make", "demo"),
    ]
    assert [one.words for one in mentions("page.md")] == [("hyperfit", "play", "RUN")]
