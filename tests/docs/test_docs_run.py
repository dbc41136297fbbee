"""The commands of every page, run in order as a reader would type them, on a tiny model and few texts."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from documented import PAGES, ROOT, Command, commands
from hyperfit.cli import main
from hyperfit.prefer.judges.dimensions import ASKED
from play_server import Client, playing
from scripted_server import better, serving
from small_commands import NOT_RUN, made_small, reason
from study_server import Server, start


class Shell:
    """Runs one command after the other; a server stays until the page is done."""

    def __init__(self) -> None:
        self.server: Server | None = None

    def run(self, command: Command) -> None:
        """Raises whatever the command ends with."""
        if command.words[0] == "python":
            subprocess.run([sys.executable, ROOT / command.words[1], *command.words[2:]], check=True)
            return
        words = made_small(command)
        if words[:2] == ["prefer", "serve"]:
            self.stop()
            self.server = start([*words[2:], "--port", "0"])
            return
        if words[0] == "play":
            with playing(*words[1:]) as address:
                assert Client(address).write(), command
            return
        if words[0] == "judge" and "--dry-run" not in words:
            with serving(lambda number, body: better("A", tuple(ASKED))) as judge:
                words[words.index("--endpoint") + 1] = judge.url
                main(words)
            return
        if words[0] in ("train", "export") and "-o" in words:
            shutil.rmtree(words[words.index("-o") + 1], ignore_errors=True)
        main(words)

    def stop(self) -> None:
        """End the server, if there is one."""
        if self.server is not None:
            self.server.kill()
            self.server = None


@pytest.mark.parametrize("page", [page for page in PAGES if any(reason(one) is None for one in commands(page))])
def test_a_page_can_be_typed(page: str, here: Path) -> None:
    shell = Shell()
    try:
        for command in commands(page):
            if reason(command) is None:
                try:
                    shell.run(command)
                except SystemExit as ended:
                    pytest.fail(f"{command} ended with status {ended.code}")
    finally:
        shell.stop()


def test_every_exception_is_of_a_command_that_there_is() -> None:
    every = [command for page in PAGES for command in commands(page)]
    unused = [
        words for words in NOT_RUN if not any(words[0] == one.words[0] and {*words} <= {*one.words} for one in every)
    ]
    assert unused == []
