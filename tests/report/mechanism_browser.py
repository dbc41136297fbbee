"""Chromium with the page of a mechanism study in it, for the tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update --disable-sync"
)


@contextmanager
def chromium() -> Iterator["sync_api.Browser"]:
    """The browser; the test is skipped where there is none."""
    if not CHROMIUM.exists():
        pytest.skip("no Chromium here")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield browser
        browser.close()


@contextmanager
def opened(browser: "sync_api.Browser", file: Path, width: int, *, dark: bool = False) -> Iterator["sync_api.Page"]:
    """The file as a window of so many pixels shows it."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light")
    page.goto(file.as_uri())
    yield page
    page.close()
