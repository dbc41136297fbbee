"""The page of a mechanism study: the answer first, layers as tables, and foreign text that stays what it is."""

import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest

from hyperfit.mechanism.settings import STUDIES
from hyperfit.report.harmless import harmless
from hyperfit.report.pages.mechanism import page
from hyperfit.report.tables.mechanism.answers import QUESTIONS
from small_mechanism import mechanism

EVIL = "\u202eevil\u2066\x1b[31m\x00\x85\u200f<script>alert(1)</script> $x$ שלום"
"""Turns, colours and runs what follows, if it may."""
TURNING = "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"


def hostile() -> dict[str, Any]:
    """Results whose every foreign text is EVIL."""
    results = mechanism()
    studies = results["studies"]
    results["models"] |= {"base": EVIL, "tuned": f"runs/{EVIL}"}
    studies["bias"]["promoted"] = [EVIL]
    for side in ("free_running", "teacher_forced"):
        studies["ranks"][side]["rising"][0]["text"] = EVIL
        studies["ranks"][side]["examples"][0] |= {"before": EVIL, "chosen": EVIL, "displaced": EVIL}
    (picture,) = studies["lens"]["pictures"]
    picture |= {"before": EVIL, "written": [EVIL] * 3}
    picture["base"]["tokens"] = [[EVIL] * 3 for _ in picture["points"]]
    for study in studies.values():
        study["made_with"] = dict.fromkeys(study["made_with"], EVIL)
    return results


def test_each_section_opens_with_its_answer() -> None:
    html = page(mechanism())
    sections = re.findall(r'<section id="(\w+)">(.*?)</section>', html, re.DOTALL)
    assert [name for name, _ in sections] == list(STUDIES)
    for (name, section), word in zip(sections, "No Partly Yes Yes Yes Yes No Yes".split(), strict=True):
        heading, answer = re.findall(r"<h2>(.*?)</h2>\s*<p class=\"answer\"><strong>(.*?)\.</strong>", section)[0]
        assert (unescape(heading), answer) == (QUESTIONS[name], word), name  # type: ignore[index]
        assert section.index("<strong>") < section.index("The finding in numbers") < section.index("<svg")


def test_the_contents_lead_to_every_section_and_say_the_answer() -> None:
    html = page(mechanism())
    links = re.findall(r'<a href="#(\w+)">.*?</a> <b>(.*?)</b>', html)
    assert [name for name, _ in links] == list(STUDIES)
    assert [word for _, word in links] == "No Partly Yes Yes Yes Yes No Yes".split()


def test_results_without_some_studies_have_a_page() -> None:
    results = mechanism()
    results["studies"] = {"encouragement": results["studies"]["encouragement"]}
    assert page(results).count("<section id=") == 1


def test_what_layers_would_say_is_a_table_with_its_values() -> None:
    results = mechanism()
    html = page(results)
    tables = re.findall(r'<figure class="layers">(.*?)</figure>', html, re.DOTALL)
    assert len(tables) == 2
    rows = re.findall(r"<tr>(.*?)</tr>", tables[0], re.DOTALL)
    assert len(rows) == 1 + len(results["studies"]["lens"]["points"])
    assert re.findall(r"<bdi>(.*?)</bdi> <small>(\d+)</small>", rows[1]) == [("a", "4"), ("↵", "50"), ("b", "100")]


class Isolated(HTMLParser):
    """Text by whether a <bdi> holds it."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "bdi" not in self.open and "title" not in self.open:
            self.outside.append(data)


def test_foreign_text_is_isolated_escaped_and_without_control_characters() -> None:
    html = page(hostile())
    assert not re.search(TURNING, html)
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    seen = Isolated()
    seen.feed(html)
    assert "שלום" not in "".join(seen.outside)


def test_harmless() -> None:
    assert harmless("a\tb\nc\x1b[0m\u202ed\u200f\u061ce\x9b\x7f") == "a\tb\nc[0mde"
    assert harmless("naïve שלום — “ok” \u200d") == "naïve שלום — “ok” \u200d"


@pytest.mark.parametrize("study", STUDIES)
def test_equal_results_give_equal_pages(study: str) -> None:
    results = mechanism()
    results["studies"] = {study: results["studies"][study]}
    assert page(results) == page(results)
