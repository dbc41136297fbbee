"""The pages of runs in a browser: nothing is cut or too small to read, in light, dark and print, whatever they hold."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browser import (
    CROOKED,
    CUES,
    CUT,
    OVERFLOWS,
    PINNED,
    SMALLEST_TEXT,
    STICKS_OUT,
    UNPAINTED,
    WIDER,
    WIDTHS,
    chromium,
    faults,
    shown,
)
from hyperfit.report.pages.compare import write_comparison
from hyperfit.report.pages.run import write_report
from hyperfit.runs.files import write_json
from made_runs import LOOP, about, curve, make_run, with_copies, write_samples, write_values

RTL = "\u202e"
"""Reverses what follows it."""
HOSTILE = f"{RTL}evil <script>alert(1)</script> &amp; ערב \x1b[31m " + "very" * 60
LONG = "another-run-with-a-name-that-is-longer-than-any-column-has-room-for"
PAGES = ("full", "hostile", "bare", "compared")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run with all there can be, one of hostile texts, one that is not evaluated, and two that are compared."""
    folder = tmp_path_factory.mktemp("pages")
    runs = [make_run(folder / name, lr=lr) for name, lr in (("one-run", 5e-4), (LONG, 1e-3))]
    results = with_copies()
    for name, measures in results["conditions"].items():
        measures |= {"loop_share": about(0.82 if "base" in name else 0.04), "word_share": about(0.96)}
        measures |= {key: about(0.3) for key in ("self_bleu", "diversity", "mattr", "mtld", "dataset_bleu")}
    for top_p in (0.9, 0.95):
        results["conditions"][f"hyperfitted/nucleus:top_p={top_p},temperature=0.7+blocked"] = results["conditions"][
            "human"
        ]
    words = " ".join(f"word{number}" for number in range(200))
    for run in runs:
        write_json(run.path / "evaluation.json", results)
        write_samples(run, {"base-greedy": LOOP * 4, "hyperfitted-greedy": words, "hyperfitted-nucleus+p0.9": LOOP})
        run.append(curve([1.0])[-1] | {"longest_overlap": 4.5})
        write_values(run, shift=0.02)

    hostile = make_run(folder / "hostile", model=HOSTILE, data=f"/x/{HOSTILE}.txt")
    copies = with_copies()
    (row,) = copies["copies"]["hyperfitted/greedy"]
    row |= {"context": HOSTILE, "pieces": [[HOSTILE, None], [HOSTILE, 7]]}
    row["documents"]["7"] = {"name": HOSTILE, "begins": HOSTILE}
    copies["conditions"][f"texts/{HOSTILE}"] = copies["conditions"]["human"]
    copies["settings"]["contexts"] = [HOSTILE]
    write_json(hostile.path / "evaluation.json", copies)
    write_samples(hostile, dict.fromkeys(("base-greedy", "hyperfitted-greedy", "human"), HOSTILE * 3))

    return {
        "full": write_report(runs[0]),
        "hostile": write_report(hostile),
        "bare": write_report(make_run(folder / "bare", evaluated=False)),
        "compared": write_comparison(runs, folder / "comparison.html"),
    }


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_or_too_small(browser: Any, pages: dict[str, Path], name: str) -> None:
    with shown(browser, pages[name]) as window:
        for style in ("body {}", WIDER):
            window.add_style_tag(content=style)
            for width in WIDTHS:
                window.set_viewport_size({"width": width, "height": 800})
                assert window.evaluate("document.documentElement.scrollWidth") <= width, (width, style)
                assert window.evaluate(STICKS_OUT) == [], (width, style)
                assert window.evaluate(OVERFLOWS) == [], (width, style)
                for beyond, cue in window.evaluate(CUES):
                    assert (cue == "visible") is beyond, (width, style)
                size, text = window.evaluate(SMALLEST_TEXT)
                assert size >= 9, (width, text)


@pytest.mark.parametrize("name", PAGES)
def test_every_colour_is_one_of_the_page_and_rows_are_straight(browser: Any, pages: dict[str, Path], name: str) -> None:
    with shown(browser, pages[name]) as window:
        assert window.evaluate(UNPAINTED) == []
        assert window.evaluate(CROOKED) == 0


def test_the_names_of_rows_stay_when_a_table_is_scrolled(browser: Any, pages: dict[str, Path]) -> None:
    with shown(browser, pages["full"], 390) as window:
        moved = window.evaluate(PINNED)
        assert moved, "else the test shows nothing"
        assert max(moved) < 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(browser: Any, pages: dict[str, Path], name: str, dark: bool) -> None:
    with shown(browser, pages[name], dark=dark) as window:
        assert faults(window) == []
        assert window.evaluate("document.scripts.length") == 0


def test_the_first_screen_holds_finding_bars_and_a_pair(browser: Any, pages: dict[str, Path]) -> None:
    with shown(browser, pages["full"], opened=False) as window:
        for part in (".finding", ".strips", ".opening"):
            box = window.locator(part).first.bounding_box()
            assert box["y"] + box["height"] <= 800, part
        assert "82 % of the base model's greedy texts end in a loop" in window.locator(".finding").inner_text()
        assert window.locator(".strips figure").count() == 4
        assert window.locator(".opening .text").count() == 2


def test_sections_stand_in_their_order_and_the_contents_lead_to_them(browser: Any, pages: dict[str, Path]) -> None:
    with shown(browser, pages["full"], opened=False) as window:
        places = window.evaluate("[...document.querySelectorAll('.contents a')].map(a => a.getAttribute('href'))")
        assert [place for place in places if not place.startswith("#table")] == [
            "#training",
            "#texts",
            "#copies",
            "#measurements",
            "#settings",
        ]
        tops = [window.locator(place).evaluate("of => of.getBoundingClientRect().top") for place in places]
        assert tops == sorted(tops)
        assert window.locator("details.example").count() == 6
        assert window.locator("details.example[open]").count() == 3


def test_hostile_text_does_not_touch_the_pages_own_words(browser: Any, pages: dict[str, Path]) -> None:
    html = pages["hostile"].read_text(encoding="utf-8")
    assert not {RTL, "\x1b"} & set(html)
    assert "<script" not in html
    with shown(browser, pages["hostile"]) as window:
        assert window.locator("h1").inner_text().endswith(", hyperfitted")
        after = """() => {
          const own = document.querySelector("h1").lastChild, range = document.createRange();
          const left = place => { range.setStart(own, place); range.setEnd(own, place + 1);
                                  return range.getBoundingClientRect().left; };
          return [left(own.data.length - 3), left(own.data.length - 1)];
        }"""
        third_last, last = window.evaluate(after)
        assert third_last < last, "hyperfitted is read from left to right"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_printed(browser: Any, pages: dict[str, Path], name: str) -> None:
    with shown(browser, pages[name], 680, opened=False) as window:
        window.emulate_media(media="print")
        assert window.evaluate("document.documentElement.scrollWidth") <= 680
        assert window.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        if name == "full":
            assert window.locator("#settings dl").first.is_visible(), "what is closed on the screen is printed"
            assert window.locator("details.example:not([open]) .text").first.is_hidden(), "but not the texts"
        if name in ("full", "compared"):
            assert window.locator("details.values").first.is_hidden(), "values are printed where they were opened"
            window.evaluate("document.querySelectorAll('details.values').forEach(one => one.open = true)")
            assert window.evaluate(CUT) == [], "and then all of them"
        assert window.pdf(format="A4").startswith(b"%PDF")
