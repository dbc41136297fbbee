"""The page of a mechanism study in Chromium: nothing overflows, letters can be read, axe-core finds nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_mechanism_page import hostile

from browser import UNPAINTED, WIDTHS, chromium, faults, shown
from hyperfit.report.pages.mechanism import page
from small_mechanism import mechanism

OPEN_ALL = "document.querySelectorAll('details').forEach(one => one.open = true)"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
LETTERS = """Math.min(...[...document.querySelectorAll('svg text')].map(text => {
  const scale = text.getScreenCTM(); return parseFloat(getComputedStyle(text).fontSize) * Math.hypot(scale.a, scale.b)
}))"""
OTHER_LETTERS = """Math.min(...[...document.querySelectorAll('body *:not(svg *)')].filter(one => one.innerText)
  .map(one => parseFloat(getComputedStyle(one).fontSize)))"""
PLACES = "[...document.querySelectorAll('h1, h2')].map(one => one.innerText)"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The page of plain results, and that of hostile ones."""
    folder = tmp_path_factory.mktemp("pages")
    for name, results in (("plain", mechanism()), ("hostile", hostile())):
        (folder / f"{name}.html").write_text(page(results), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in ("plain", "hostile")}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_overflows_and_letters_can_be_read(browser: Any, files: dict[str, Path], name: str, width: int) -> None:
    with shown(browser, files[name], width, opened=False) as window:
        for _ in range(2):
            assert window.evaluate(OVERFLOW) <= 0
            assert window.evaluate(LETTERS) >= 9
            assert window.evaluate(OTHER_LETTERS) >= 9
            window.evaluate(OPEN_ALL)


def test_the_first_column_of_a_wide_table_stays_where_it_is(browser: Any, files: dict[str, Path]) -> None:
    with shown(browser, files["hostile"], 390, opened=False) as window:
        moved = window.evaluate(
            """() => {
              const scroll = document.querySelector('.layers .scroll'), cell = scroll.querySelector('tbody th');
              const before = cell.getBoundingClientRect().left; scroll.scrollLeft = 60;
              return [scroll.scrollLeft, cell.getBoundingClientRect().left - before];
            }"""
        )
    assert moved[0] == 60
    assert moved[1] == pytest.approx(0, abs=1)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(browser: Any, files: dict[str, Path], dark: bool) -> None:
    with shown(browser, files["plain"], 390, dark=dark) as window:
        assert window.evaluate(UNPAINTED) == []
        assert faults(window) == []


def test_a_name_that_turns_directions_leaves_the_pages_own_words_alone(browser: Any, files: dict[str, Path]) -> None:
    with shown(browser, files["hostile"], 1280, opened=False) as window:
        headings = window.evaluate(PLACES)
        places = window.evaluate(
            """() => { const said = document.querySelector('h1').lastChild, range = document.createRange();
              return [2, 3, 4, 5].map(at => { range.setStart(said, at); range.setEnd(said, at + 1);
                return range.getBoundingClientRect().left; }); }"""
        )
    assert headings[0].endswith(": what hyperfitting changed")
    assert places == sorted(places), "the letters of “what” run from left to right"
