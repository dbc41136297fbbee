"""What the documents tell to type: shell commands and Python, page by page."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/**/*.md"))
)
"""Every document that is read as a page, from the repository's root."""
NOTES = ("CONTRIBUTING.md", "LAB.md", "SECURITY.md", "CHANGELOG.md", "pretraining/README.md")
"""What else names commands: they are parsed, and not run."""
BLOCK = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
SHELL = ("", "bash", "console", "sh", "shell")
"""Languages of blocks that hold commands; without one, too."""
INLINE = re.compile(r"(?<!`)`(?:[A-Z_]+=\S+\s+)*(?:(?:accelerate launch|torchrun)\s[^`]*?-m\s+)?(hyperfit [^`]+)`(?!`)")


@dataclass(frozen=True)
class Command:
    """A command as a shell takes it apart."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: {shlex.join(self.words)}"


def blocks(page: str, *languages: str) -> list[str]:
    """The blocks of code of a page in these languages."""
    return [
        found["text"] for found in BLOCK.finditer((ROOT / page).read_text("utf-8")) if found["language"] in languages
    ]


def commands(page: str) -> list[Command]:
    """The commands of a page, in order."""
    lines = [line for text in blocks(page, *SHELL) for line in text.replace("\\\n", " ").splitlines()]
    words = [tuple(shlex.split(line, comments=True)) for line in lines]
    return [Command(page, one) for one in words if one]


def mentions(page: str) -> list[Command]:
    """The hyperfit commands, whole or in part, that stand between words; without what launches them."""
    text = BLOCK.sub("", (ROOT / page).read_text("utf-8"))
    return [Command(page, tuple(shlex.split(found))) for found in INLINE.findall(text)]
