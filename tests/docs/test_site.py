"""The site as make docs builds it: without a warning, complete, readable without a network on a desk or a phone."""

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import hyperfit
from browser import chromium
from documented import ROOT

PAGES = ("index", "tutorial", "faq", "papers", "howto/mechanism-report", "reference/commands", "reference/settings")
"""Those that are looked at in a browser."""
LOADED = re.compile(r"""<(?:link|script|img|iframe|source)\b[^>]*?(?:href|src)="?(https?:|//)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built anew. Warnings are errors."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def test_nothing_is_loaded_from_other_servers(site: Path) -> None:
    pages = {page: page.read_text("utf-8") for page in site.rglob("*.html")}
    assert len(pages) > 25
    assert {page: found for page, text in pages.items() if (found := LOADED.findall(text))} == {}
    style = "".join(file.read_text("utf-8") for file in site.rglob("*.css"))
    assert re.findall(r"url\(\W?https?:", style) == []


def test_the_reference_has_every_public_name(site: Path) -> None:
    pages = "".join((site / f"reference/{page}.html").read_text("utf-8") for page in ("python", "settings"))
    shown = set(re.findall(r'id="?(hyperfit\.[\w.]+)', pages))
    named = {name: getattr(hyperfit, name) for name in hyperfit.__all__}
    assert [name for name, one in named.items() if f"{one.__module__}.{one.__qualname__}" not in shown] == []


def test_the_help_of_every_command_is_there(site: Path) -> None:
    page = (site / "reference/commands.html").read_text("utf-8")
    for command in ("train", "evaluate", "prefer serve", "cache clear"):
        assert f"usage: hyperfit {command}" in page


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("repository", ROOT / "docs/hooks/repository.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("source", "written", "made"),
    [
        ("README.md", "[a](docs/faq.md)", "[a](faq.md)"),
        ("README.md", "[a](docs/howto/serve.md#llamacpp)", "[a](howto/serve.md#llamacpp)"),
        ("docs/results/README.md", "[a](../../LAB.md)", "[a](../lab.md)"),
        ("docs/howto/serve.md", "[a](../export.md)", "[a](../export.md)"),
        ("docs/howto/serve.md", "![a](../pictures/play.webp)", "![a](../pictures/play.webp)"),
        ("examples/mechanism/README.md", "[a](smollm2.html)", "[a](smollm2.html)"),
        ("README.md", "[a](examples/mechanism/smollm2.html)", "[a](examples/smollm2.html)"),
        ("README.md", "[results](benchmarks/results)", "results (`benchmarks/results`)"),
        ("README.md", "[CITATION.cff](CITATION.cff)", "`CITATION.cff`"),
        ("README.md", "[a](https://arxiv.org/abs/1)", "[a](https://arxiv.org/abs/1)"),
        ("README.md", "[a](docs/none.md) [b](#more)", "[a](docs/none.md) [b](#more)"),
    ],
)
def test_links_from_file_to_file_lead_from_page_to_page(hook: ModuleType, source: str, written: str, made: str) -> None:
    """A target that is not there stays as it is, and mkdocs reports it."""
    assert hook.rewritten(written, source) == made


def test_blocks_of_code_are_left_alone(hook: ModuleType) -> None:
    page = type("Page", (), {"file": type("File", (), {"src_uri": "index.md"})})
    text = "[a](docs/faq.md)\n\n```\n[a](docs/faq.md)\n```\n"
    assert hook.on_page_markdown(text, page=page) == "[a](faq.md)\n\n```\n[a](docs/faq.md)\n```\n"


def test_pages_fit_and_can_be_searched_as_files(site: Path) -> None:
    asked: list[str] = []
    with chromium() as browser:
        for width in (390, 1280):
            page = browser.new_page(viewport={"width": width, "height": 800})
            page.on("request", lambda request: asked.append(request.url))
            for name in PAGES:
                page.goto((site / f"{name}.html").as_uri())
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                assert page.locator("h1").count() == 1, name
        page.goto((site / "index.html").as_uri())
        page.locator(".md-search__input").click()
        page.keyboard.type("citation blocking")
        found = page.locator(".md-search-result__link")
        found.first.wait_for()
        assert any("howto/evaluate" in one.get_attribute("href") for one in found.all())
    assert [url for url in asked if url.startswith("http")] == []
