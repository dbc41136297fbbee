"""The help of every command, as the command prints it, in the page that asks for it."""

import os
from typing import Any

from mkdocs.structure.files import Files
from mkdocs.structure.pages import Page

MARK = "<!-- the help of every command -->"


def on_page_markdown(markdown: str, page: Page, config: Any, files: Files) -> str:
    """The page with a section for each command in place of the mark."""
    return markdown.replace(MARK, sections()) if MARK in markdown else markdown


def sections() -> str:
    """A heading and the help of each command, in the order of ``hyperfit --help``."""
    from hyperfit.cli import COMMANDS, FAMILIES
    from hyperfit.commands.interface.help import command_help

    os.environ["COLUMNS"] = "82"
    members = {f"{family} {what}": one for family, (_, of) in FAMILIES.items() for what, one in of.items()}
    return "\n\n".join(
        f"## hyperfit {name}\n\n```text\n{command_help(name, command)}```"
        for name, command in {**COMMANDS, **members}.items()
    )
