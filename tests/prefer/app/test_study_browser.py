"""A whole study in a browser: keyboard on a desk, mouse on a phone, a server that goes away; hostile texts; axe."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import SMALLEST_TEXT, STICKS_OUT, chromium, faults
from hyperfit.prefer.store.judgements import judgements
from hyperfit.prefer.store.study import invite, open_study
from study_server import Server, made_run, serving, start

KEYS = {"left": "1", "right": "2", "equal": "3"}
RTL = "\u202e"
HOSTILE = f"{RTL}evil <script>document.title = 'taken'</script><img src=x onerror=alert(1)> &amp; ערב \x1b[31m\x07 "


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


def links(study: Path, url: str, count: int) -> list[str]:
    opened = open_study(study)
    people = invite(opened, count)
    opened.database.close()
    return [f"{url}/a/{person.token}" for person in people]


def window(browser: Any, width: int, height: int, *, dark: bool = False) -> tuple[Any, list[str]]:
    """A page, and what it should not do: ask another server, write to the console, open a dialog."""
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light")
    odd: list[str] = []
    page.on("request", lambda request: odd.append(request.url) if "127.0.0.1" not in request.url else None)
    page.on("pageerror", lambda error: odd.append(str(error)))
    page.on("dialog", lambda dialog: odd.append(dialog.message))
    return page, odd


def texts(page: Any) -> tuple[str, str]:
    left, right = page.locator(".side .text").all_inner_texts()
    return left, right


def wanted(page: Any, rule: dict[str, str]) -> str:
    """The side to choose: rule names, for the condition that is compared, the text to prefer, or equal."""
    left, right = texts(page)
    condition = "greedy" if "by greedy" in left + right else "nucleus"
    better = rule[condition]
    return better if better == "equal" else ("left" if f"by {better}" in left else "right")


def go_on(page: Any, number: int) -> None:
    """Wait for a pair, by its number, that can be answered."""
    page.wait_for_selector(f'main[data-place^="Pair {number} of"] form[data-ready]')


def test_two_annotators_finish_a_study(browser: Any, tmp_path: Path) -> None:
    run, study = made_run(tmp_path / "run"), tmp_path / "study"
    arguments = [str(run), "--study", str(study), "--annotators", "2"]
    server = start([*arguments, "--port", "0"])
    try:
        first, second = links(study, server.url, 2)
        server = by_keyboard(browser, server, arguments, first)
        by_mouse(browser, second)
        owner(browser, server.enter)
    finally:
        server.kill()
    opened = open_study(study)
    told = judgements(opened)
    opened.database.close()
    count = Counter((one.judge, one.first, one.choice) for one in told)
    assert count == {
        ("1", "hyperfitted/greedy", "second"): 10,
        ("1", "hyperfitted/nucleus", "equal"): 10,
        ("2", "hyperfitted/greedy", "first"): 10,
        ("2", "hyperfitted/nucleus", "second"): 10,
    }, "so greedy is preferred in half of the comparisons, nucleus in none and equal in half"
    assert all(one.seconds is not None and 0.3 < one.seconds < 300 for one in told)
    export = subprocess.run(
        [sys.executable, "-m", "hyperfit", "prefer", "export", "--study", str(study)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    rows = [json.loads(line) for line in export.splitlines()]
    assert Counter((row["judge"], row["first"], row["choice"]) for row in rows) == count
    assert {row["comment"] for row in rows} == {"", "Füße & <b>"}


def by_keyboard(browser: Any, server: Server, arguments: list[str], link: str) -> Server:
    """Twenty pairs on a desktop without a mouse; the server is killed at the seventh and comes back."""
    page, odd = window(browser, 1280, 800)
    page.goto(link)
    assert faults(page) == []
    while page.evaluate("document.activeElement.textContent") != "Start":
        page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    rule = {"greedy": "human", "nucleus": "equal"}
    places = set()
    for number in range(1, 21):
        go_on(page, number)
        box = page.locator(".bar").bounding_box()
        places.add((box["y"], box["height"]))
        if number == 7:
            server.kill()
            page.keyboard.press(KEYS[wanted(page, rule)])
            page.wait_for_selector('#status:has-text("Not saved yet")')
            server = start([*arguments, "--port", re.sub(r".*:", "", server.url)])
        elif number == 9:
            page.keyboard.press(KEYS[{"left": "right", "right": "equal", "equal": "left"}[wanted(page, rule)]])
            go_on(page, 10)
            page.keyboard.press("u")
            page.wait_for_selector(".changing")
            go_on(page, 9)
            page.keyboard.press(KEYS[wanted(page, rule)])
        else:
            page.keyboard.press(KEYS[wanted(page, rule)])
    page.wait_for_selector('h1:has-text("Thank you")')
    assert "Saved" in page.locator("#status").inner_text()
    assert len(places) == 1, "the buttons never move"
    assert odd == []
    page.close()
    return server


def by_mouse(browser: Any, link: str) -> None:
    """Twenty pairs on a phone without a keyboard; with a pause, after which the link goes on where it was."""
    page, odd = window(browser, 390, 844, dark=True)
    page.goto(link)
    assert faults(page) == []
    page.get_by_role("button", name="Start").click()
    for number in range(1, 21):
        go_on(page, number)
        left, right = page.locator(".side").all()
        assert right.bounding_box()["y"] > left.bounding_box()["y"] + left.bounding_box()["height"]
        if number == 3:
            assert faults(page) == []
            assert page.evaluate(STICKS_OUT) == []
            assert page.evaluate(SMALLEST_TEXT)[0] >= 12
            page.get_by_text("Add a comment").click()
            page.get_by_label("Comment on this pair").fill("Füße & <b>")
        if number == 5:
            before = texts(page)
            page.get_by_role("link", name="Pause").click()
            page.wait_for_selector('h1:has-text("Paused")')
            assert faults(page) == []
            page.goto(link)
            go_on(page, 5)
            assert texts(page) == before
        side = wanted(page, {"greedy": "greedy", "nucleus": "human"})
        page.locator(f'.bar button[value="{side}"]').click()
    page.wait_for_selector('h1:has-text("Thank you")')
    assert faults(page) == []
    assert odd == []
    page.close()


def owner(browser: Any, enter: str) -> None:
    """The owner sees it all, and nobody else does."""
    page, odd = window(browser, 1280, 800)
    page.goto(enter.partition("/enter")[0])
    assert page.locator("#live").count() == 0
    assert faults(page) == []
    page.goto(enter)
    page.wait_for_selector("#live")
    assert "40 of 40" in " ".join(page.locator(".figures").inner_text().split())
    assert faults(page) == []
    page.get_by_label("How many more").fill("2")
    page.get_by_role("button", name="Make links").click()
    page.wait_for_selector("tbody tr:nth-child(4)")
    with page.expect_download() as download:
        page.get_by_role("link", name="judgements.csv").click()
    assert len(Path(download.value.path()).read_text().splitlines()) == 41
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_selector("input[type=password]")
    assert odd == []
    page.close()


def test_another_server_that_answers_in_its_place_does_not_pass_for_it(browser: Any, tmp_path: Path) -> None:
    """A page of a proxy's own, or of a network that wants a sign-in first: the answer is sent until it is stored."""
    study, strange = tmp_path / "study", [200, 404, 502]
    with serving(made_run(tmp_path / "run", 1), "--study", study, "--port", 0) as server:
        (link,) = links(study, server.url, 1)
        page, odd = window(browser, 1280, 800)
        page.route(  # before the page: one that is open may send its first request past a route made later
            "**/answer",
            lambda route: (
                route.fulfill(status=strange.pop(), body="<h1>Sign in first</h1>", content_type="text/html")
                if strange
                else route.continue_()
            ),
        )
        page.goto(link)
        page.get_by_role("button", name="Start").click()
        go_on(page, 1)
        page.keyboard.press("1")
        page.wait_for_selector('#status:has-text("Not saved yet")')
        go_on(page, 2)
        assert strange == []
        assert odd == []
        page.close()
    opened = open_study(study)
    assert len(judgements(opened)) == 1
    opened.database.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_further_questions_by_keyboard(browser: Any, tmp_path: Path, width: int) -> None:
    study = tmp_path / "study"
    arguments = [made_run(tmp_path / "run", 2), "--study", study, "--port", 0, "--questions", "coherence", "interest"]
    with serving(*arguments) as server:
        (link,) = links(study, server.url, 1)
        page, odd = window(browser, width, 800)
        page.goto(link)
        page.get_by_role("button", name="Start").click()
        go_on(page, 1)
        assert faults(page) == []
        assert page.evaluate(STICKS_OUT) == []
        for key in ("1", "3", "2", "Enter"):
            page.keyboard.press(key)
        go_on(page, 2)
        assert odd == []
        page.close()
    opened = open_study(study)
    (told,) = judgements(opened)
    opened.database.close()
    left, right = ("second", "first") if told.swapped else ("first", "second")
    assert (told.choice, told.questions) == (left, {"coherence": "equal", "interest": right})


def test_the_forms_work_without_the_script(browser: Any, tmp_path: Path) -> None:
    study = tmp_path / "study"
    with serving(made_run(tmp_path / "run", 1), "--study", study, "--port", 0) as server:
        (link,) = links(study, server.url, 1)
        context = browser.new_context(java_script_enabled=False)
        page = context.new_page()
        page.goto(link)
        page.get_by_role("button", name="Start").click()
        page.get_by_role("button", name="A is better").click()
        page.get_by_role("button", name="Equally good").click()
        assert page.get_by_role("heading", level=1).inner_text().startswith("Thank you")
        context.close()
    opened = open_study(study)
    assert len(judgements(opened)) == 2
    opened.database.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_hostile_text_shows_as_text(browser: Any, tmp_path: Path, width: int) -> None:
    rows = [
        {
            "context": HOSTILE * 3,
            "continuation": HOSTILE + "long " * 220_000,
            "reference": "x" * 5000,
            "model": HOSTILE[:0] + "m",
        }
    ]
    file, study = tmp_path / "texts.jsonl", tmp_path / "study"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with serving("--texts", file, "--study", study, "--port", 0) as server:
        (link,) = links(study, server.url, 1)
        page, odd = window(browser, width, 800)
        page.goto(link)
        page.get_by_role("button", name="Start").click()
        go_on(page, 1)
        assert page.title() == "Pair 1 of 1"
        assert page.locator(".text img, .text script").count() == 0
        shown = page.locator(".beginning .text").inner_text()
        assert "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> &amp;" in shown
        whole = page.content()
        assert not {RTL, "\x1b", "\x07"} & set(whole)
        assert len(whole) > 1_000_000
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator(".bar button").first.is_visible()
        page.locator(".bar button").first.click()
        page.wait_for_selector('h1:has-text("Thank you")')
        assert odd == []
        page.close()
