"""Pages as a browser shows them: Debian's Chromium, without a network; tests are skipped where it is missing."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WIDTHS = (390, 768, 1024, 1280)
HEIGHT = 800
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

SMALLEST_TEXT = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const small = [];
  while (walker.nextNode()) {
    const of = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !of.getClientRects().length) continue;
    const drawing = of.closest("svg") ? of.getScreenCTM().a : 1;
    const size = parseFloat(getComputedStyle(of).fontSize) * drawing;
    small.push([Math.round(size * 100) / 100, walker.currentNode.data.trim().slice(0, 40)]);
  }
  return small.sort((one, other) => one[0] - other[0])[0];
}"""
"""[pixels, beginning] of the smallest text that is shown."""
STICKS_OUT = """() => [...document.querySelectorAll("body *")]
  .filter(of => !of.closest(".scroll table, svg") && of.getClientRects().length)
  .filter(of => of.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(of => `${of.tagName}.${of.className}: ${of.textContent.trim().slice(0, 40)}`).slice(0, 5)"""
"""What reaches beyond the right edge, but for what can be scrolled into sight."""
CUES = """async () => {
  await new Promise(painted => requestAnimationFrame(() => requestAnimationFrame(painted)));
  return [...document.querySelectorAll(".sheet")].filter(of => of.getClientRects().length).map(of => {
    const scroll = of.querySelector(".scroll");
    return [scroll.scrollWidth > scroll.clientWidth, getComputedStyle(of.querySelector(".cue")).visibility];
  });
}"""
"""[whether it is wider than what is seen of it, whether its cue is visible] of each table, once it has been painted at
its size: scrolling moves the cue's animation, of which a page learns with a frame."""
OVERFLOWS = """() => [...document.querySelectorAll(".strips dt, .facts dt, .facts dd")]
  .filter(of => of.getClientRects().length)
  .filter(of => of.scrollWidth > of.clientWidth + 1
    || of.getBoundingClientRect().right > of.closest("dl").getBoundingClientRect().right + 1
    || (of.querySelector(".track") && of.querySelector(".track").clientWidth < 20))
  .map(of => of.textContent.trim().slice(0, 60))"""
"""Names and facts that reach onto what stands beside them, and bars without room."""
CUT = """() => [...document.querySelectorAll(".values .scroll")]
  .filter(of => of.scrollHeight > of.clientHeight + 1 && getComputedStyle(of).overflowY !== "visible")
  .map(of => of.getAttribute("aria-label"))"""
"""Tables of values of which only the beginning is seen."""
CROOKED = """() => Math.max(0, ...[...document.querySelectorAll(".values tbody tr")].map(row => {
  const tops = [...row.children].map(cell => parseFloat(getComputedStyle(cell).paddingTop));
  return Math.max(...tops) - Math.min(...tops);
}))"""
"""Pixels by which the cells of a row of values stand on different heights."""
UNPAINTED = """() => [...document.querySelectorAll("svg path, svg use, svg text")].filter(of => {
  const told = (of.getAttribute("style") || "").match(/(?:fill|stroke): *(var[^;]*)/);
  const name = told && told[1].match(/--[a-z0-9]+/);
  return name && !getComputedStyle(of).getPropertyValue(name[0]).trim();
}).map(of => of.getAttribute("style")).slice(0, 3)"""
"""What is drawn in a colour that the page does not have, so that it is black or not seen at all."""
PINNED = """() => [...document.querySelectorAll(".scroll")].filter(of => of.scrollWidth > of.clientWidth).map(of => {
  of.scrollLeft = of.scrollWidth;
  const left = [...of.querySelectorAll("tr > :first-child")].map(cell => cell.getBoundingClientRect().left);
  return Math.max(...left.map(one => Math.abs(one - of.getBoundingClientRect().left)));
})"""
"""Pixels by which the names of the rows have moved when a table is scrolled to its right end."""
WIDER = "html { font-size: 130% !important; } * { letter-spacing: .05em !important; }"


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser. Skips the test where playwright or Chromium is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no test of pages")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed (apt-get install chromium): no test of pages")
    with playwright.sync_playwright() as session:
        browser = session.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def shown(browser: Any, file: Path, width: int = 1280, *, dark: bool = False, opened: bool = True) -> Iterator[Any]:
    """A page in a window, every part of it opened. It must ask for nothing, and say nothing."""
    asked: list[str] = []
    window = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme="dark" if dark else "light")
    try:
        window.on("request", lambda request: asked.append(request.url))
        window.on("console", lambda message: asked.append(message.text))
        window.on("dialog", lambda dialog: asked.append(dialog.message))
        window.goto(file.as_uri())
        if opened:
            window.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        yield window
        assert asked == [file.as_uri()]
    finally:
        window.close()


def faults(window: Any) -> list[str]:
    """What axe-core finds wrong with what is shown."""
    from axe_playwright_python.sync_playwright import Axe

    return [
        f"{found['id']}: {node['html'][:120]}"
        for found in Axe().run(window).response["violations"]
        for node in found["nodes"]
    ]
