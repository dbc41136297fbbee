"""The playground in a browser: keyboard on a desk, finger on a phone, marks, alternatives, hostile texts, axe."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from browser import SMALLEST_TEXT, STICKS_OUT, chromium, faults
from hyperfit.training.train import train
from play_server import ENDLESS, FORCED, playing
from small_runs import recipe_for, write_texts
from tiny_models import save_tiny

RTL = "\u202e"
HOSTILE = f"{RTL}evil <script>document.title = 'taken'</script><img src=x onerror=alert(1)> &amp; \x1b[31m\x07"
LOOP = " the grey dog sat there, the grey dog sat there again."
WRITTEN = f" so{LOOP} {HOSTILE}"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose training data holds HOSTILE, in its twenty-first line."""
    folder = tmp_path_factory.mktemp("run")
    model = save_tiny(folder / "model", max_position_embeddings=512)
    data = write_texts(folder / "texts.jsonl", 20, 0)
    with data.open("a") as file:
        file.write(json.dumps({"text": f"{HOSTILE} and more of it, until it is long enough " + "x" * 60}) + "\n")
    train(recipe_for((str(model), str(data)), length=140, epochs=1, heldout=0.0, samples=21), folder / "run")
    return folder / "run"


@pytest.fixture(scope="module")
def served(run: Path) -> Iterator[Callable[[str], str]]:
    """The address of a playground before which some code is run, one server for each."""
    with ExitStack() as servers:
        yield cache(lambda before: servers.enter_context(playing(run, before=before)))


def window(
    browser: Any, url: str, width: int = 1280, *, dark: bool = False, touch: bool = False
) -> tuple[Any, list[str]]:
    """The page, and what it should not do: ask another server, write to the console, open a dialog."""
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme="dark" if dark else "light", has_touch=touch
    )
    page = context.new_page()
    odd: list[str] = []
    page.on("request", lambda request: odd.append(request.url) if not request.url.startswith(url) else None)
    page.on("pageerror", lambda error: odd.append(str(error)))
    page.on("console", lambda message: odd.append(message.text))
    page.on("dialog", lambda dialog: odd.append(dialog.message))
    page.goto(url)
    return page, odd


def focused(page: Any) -> str:
    found: str = page.evaluate("document.activeElement.id || document.activeElement.className")
    return found


def tab_to(page: Any, name: str) -> None:
    for _ in range(30):
        if focused(page) == name:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached")


def test_a_text_is_typed_and_read_by_keyboard(browser: Any, run: Path) -> None:
    with playing(run, before=FORCED.format(text=LOOP)) as url:
        page, odd = window(browser, url)
        assert faults(page) == []
        tab_to(page, "context")
        page.keyboard.press("Control+A")
        page.keyboard.type("There was a yard, and")
        tab_to(page, "new-tokens")
        page.keyboard.press("Control+A")
        page.keyboard.type("99")
        page.keyboard.press("Enter")
        page.wait_for_selector('#status:has-text("Written in")')
        for side in ("base", "hyperfitted"):
            assert page.inner_text(f"#{side} .text").replace("a the", " the", 1) == f"There was a yard, and{LOOP}"
            coloured = "".join(page.locator(f"#{side} .r0").all_inner_texts())
            assert coloured == "the grey dog sat there,the grey dog sat there"
            assert page.locator(f"#{side} .letter").get_attribute("data-letter") == "a"
            assert "The text ended here." in page.inner_text(f"#{side} .count")
        tab_to(page, "text")
        assert page.inner_text("#told h3") == " "
        page.keyboard.press("ArrowRight")
        page.keyboard.press("ArrowRight")
        assert page.inner_text("#told h3") == "h"
        assert page.locator("#told tbody tr").count() in (8, 9)
        assert page.locator("#told tr.chosen").count() == 1
        line = page.inner_text("#told p")
        assert line.startswith("Base: ")
        assert " rank " in line.partition("Hyperfitted: ")[2]
        assert page.inner_text("#spoken").startswith("h. Base: ")
        assert faults(page) == []
        page.keyboard.press("End")
        assert page.inner_text("#told h3") == "."
        page.keyboard.press("Escape")
        assert page.locator("#alternatives").is_hidden()
        assert odd == []
        page.context.close()


@pytest.mark.parametrize(("width", "dark"), [(1280, True), (390, False)])
def test_hostile_text_shows_as_text(browser: Any, served: Callable[[str], str], width: int, dark: bool) -> None:
    url = served(FORCED.format(text=WRITTEN))
    page, odd = window(browser, url, width, dark=dark, touch=width < 500)
    page.fill("#context", HOSTILE)
    page.fill("#new-tokens", "250")
    page.click("#write")
    page.wait_for_selector('#status:has-text("Written in")')
    text = page.locator("#base .text")
    assert "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> &amp;" in text.inner_text()
    assert page.locator("main img, .text script, aside img").count() == 0
    assert "taken" not in page.title()
    recited = page.locator("#base .recited")
    assert "".join(recited.all_inner_texts()).startswith("evil <script>")
    source = page.inner_text("#base .sources li")
    assert source.startswith("texts.jsonl, line 21 “evil <script>document.title")
    page.locator("#base .recited >> nth=4").hover()
    if width < 500:
        page.locator("#base .recited >> nth=4").tap()
    assert "Recited from texts.jsonl, line 21" in page.inner_text("#told")
    assert not {RTL, "\x1b", "\x07"} & set(page.inner_text("body"))
    assert faults(page) == []
    assert page.evaluate(STICKS_OUT) == []
    assert page.evaluate(SMALLEST_TEXT)[0] >= 11
    assert odd == []
    page.context.close()


def test_what_is_chosen_is_sent_and_what_is_wrong_is_told(browser: Any, run: Path) -> None:
    with playing(run) as url:
        page, odd = window(browser, url, 390)
        assert page.locator("#nucleus-top_p").is_hidden()
        page.select_option("#decoding", "nucleus")
        assert page.locator("#nucleus-top_p").input_value() == "0.9"
        page.select_option("#offers", index=1)
        picked = page.input_value("#context")
        page.fill("#new-tokens", "12")
        page.fill("#strength", "0")
        page.click("#write")
        page.wait_for_selector('#status:has-text("Written in")')
        base, tuned = (page.inner_text(f"#{side} .text") for side in ("base", "hyperfitted"))
        assert base == tuned
        assert base.startswith(picked[-20:].lstrip()) or picked[-20:] in base
        page.fill("#nucleus-seed", "7")
        page.click("#write")
        page.wait_for_selector('#status:has-text("Written in")')
        page.fill("#context", "")
        page.fill("#nucleus-top_p", "3")
        odd.clear()
        page.click("#write")
        page.wait_for_selector("#status.wrong")
        told = page.inner_text("#status").splitlines()
        assert [line.partition(":")[0] for line in told] == ["Context", "Decoding nucleus"]
        assert page.inner_text("#base .text") != ""
        page.fill("#context", "語" * 19_000)
        page.click("#write")
        page.wait_for_selector('#status:has-text("That is too much.")')
        assert [line for line in odd if "400" not in line and "413" not in line] == []
        page.context.close()


def test_stop_stops(browser: Any, run: Path) -> None:
    with playing(run, before=ENDLESS) as url:
        page, odd = window(browser, url)
        page.fill("#context", "0 the horse")
        page.focus("#write")
        for _ in range(2):
            page.keyboard.press("Enter")
            page.wait_for_selector('#status:has-text("Writing after")')
            assert focused(page) == "stop"
            page.keyboard.press("Enter")
            page.wait_for_selector('#status:has-text("Stopped.")')
            assert focused(page) == "write"
        assert odd == []
        page.context.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1024, 700), (820, 1180), (390, 844), (360, 640)])
def test_the_panel_covers_neither_its_token_nor_the_buttons(
    browser: Any, served: Callable[[str], str], width: int, height: int
) -> None:
    """A few tokens of both texts, each where the page shows it."""
    url = served(FORCED.format(text=LOOP * 4))
    page, odd = window(browser, url, width, touch=width < 500)
    page.set_viewport_size({"width": width, "height": height})
    page.fill("#new-tokens", "250")
    page.click("#write")
    page.wait_for_selector('#status:has-text("Written in")')
    buttons = page.locator(".act")
    for side in ("base", "hyperfitted"):
        for number in (3, 70, 140, 200):
            token = page.locator(f"#{side} .t").nth(number)
            token.scroll_into_view_if_needed()
            token.tap() if width < 500 else token.click()
            panel = page.locator("#alternatives").bounding_box()
            assert not overlap(panel, token.bounding_box()), (side, number)
            assert not overlap(panel, buttons.bounding_box()), (side, number)
            assert token.bounding_box()["y"] >= 0
            assert panel["x"] >= 0
            assert panel["x"] + panel["width"] <= width
            page.keyboard.press("Escape")
    assert odd == []
    page.context.close()


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    """Whether two boxes have a point in common."""
    return all(
        one[at] < other[at] + other[size] and other[at] < one[at] + one[size]
        for at, size in (("x", "width"), ("y", "height"))
    )
