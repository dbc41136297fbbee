"""Pages of the site that lie elsewhere in the repository, and links from file to file as links from page to page."""

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "LAB.md": "lab.md",
    "examples/README.md": "examples/scripts.md",
    "examples/mechanism/README.md": "examples/mechanism.md",
    "examples/mechanism/smollm2.html": "examples/smollm2.html",
    "examples/mechanism/tiny.html": "examples/tiny.html",
    "SECURITY.md": "security.md",
    "pretraining/README.md": "pretraining.md",
}
"""File of the repository, outside of docs/ → its place in the site."""
LINK = re.compile(r"\[(?P<text>[^][]*)\]\((?P<target>[^()\s#]+)(?P<place>#[^()\s]*)?\)")
FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)


def on_files(files: Files, config: Any) -> Files:
    """Add what lies elsewhere."""
    for source, place in ELSEWHERE.items():
        files.append(File.generated(config, place, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """The page with its links rewritten, but for what stands in blocks of code."""
    here = page.file.src_uri
    source = next((source for source, place in ELSEWHERE.items() if place == here), f"docs/{here}")
    pieces, end = [], 0
    for block in FENCED.finditer(markdown):
        pieces += [rewritten(markdown[end : block.start()], source), block[0]]
        end = block.end()
    return "".join([*pieces, rewritten(markdown[end:], source)])


def rewritten(text: str, source: str) -> str:
    """Links of a file of the repository as the page made of it has them.

    What is in the repository and not in the site becomes its path; what is in neither stays, and is reported by mkdocs.
    """
    here = PurePosixPath(place_of(source) or source).parent

    def link(found: re.Match[str]) -> str:
        target = normpath((PurePosixPath(source).parent / found["target"]).as_posix())
        if "://" in found["target"] or not (ROOT / target).exists():
            return found[0]
        place = place_of(target)
        if place is None:
            return f"{found['text']} (`{target}`)" if found["text"].strip("`/") != target else f"`{target}`"
        return f"[{found['text']}]({relpath(place, here)}{found['place'] or ''})"

    return LINK.sub(link, text)


def place_of(path: str) -> str | None:
    """Where a file of the repository lies in the site; None if it does not."""
    if path in ELSEWHERE:
        return ELSEWHERE[path]
    return path.removeprefix("docs/") if path.startswith("docs/") and (ROOT / path).is_file() else None
