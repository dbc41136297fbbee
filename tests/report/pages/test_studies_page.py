"""The page of the studies: answers first, every curve with its values, harmless, and readable in a browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from browser import SMALLEST_TEXT, STICKS_OUT, UNPAINTED, WIDTHS, chromium, faults, shown
from hyperfit.errors import UserError
from hyperfit.metrics.estimate import Estimate
from hyperfit.report.look import CONDITIONS, SERIES
from hyperfit.report.pages.overview import looks_of
from hyperfit.report.pages.studies import write_studies_page
from hyperfit.report.tables.studies import study_tables
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Passage, Point, Row, Scatter, Table

HOSTILE = "models/\u202eevil<script>alert(1)</script>" + "x" * 90


def about(value: float) -> Estimate:
    return Estimate(value, value - 0.02, value + 0.02, 24)


POINTS = [
    Point("base, repetition-penalty", "base", "penalty", about(56), about(0.868), front=True),
    Point("base, greedy", "base", "greedy", about(56), about(0.251)),
    Point("hyperfitted, greedy", "hyperfitted", "greedy", about(282), about(0.569)),
    Point("stopped <early>, greedy", "stopped <early>", "greedy", about(51), about(0.33), front=True),
]


def study(name: str, answer: Any) -> dict[str, Any]:
    rows = [Row("8 sequences, at equal updates", {"ttr": about(0.41)}), Row("base", {"ttr": about(0.2)})]
    points = [(8.0, about(0.41)), (64.0, about(0.52))]
    lines = [Line(way, points) for way in ("equal epochs", "equal updates")]
    told = Findings(
        answer,
        f"What {name} found.",
        [Table(name, f"Table of {name}", rows, ("ttr", "perplexity"))],
        [Chart(f"{name}-ttr", "training sequences", "ttr", lines, log=True)],
        passages=[Passage(f"It was {HOSTILE}", {"base": f"there {HOSTILE}", "human": "and here"})],
        scatters=[Scatter(f"{name}-plane", "perplexity", "perplexity on human text", "ttr", "low", POINTS)],
    )
    return {
        "study": name, "question": f"Is it so in {name}?", "source": "Carlsson et al. 2025", "method": "As told.",
        "settings": asdict(StudySettings(model=HOSTILE)), "contexts": 24,
        "trainings": [
            {"label": "a", "seed": seed, "run": f"run{seed}", "device": "a processor", "reason": reason}
            for seed, reason in enumerate(("loss", "nan"))
        ],
        "lacking": {"a": 1, "b": 3},
        **asdict(told),
    }  # fmt: skip


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studies")
    for name, answer in (("quantity", "Partly"), ("curves", "Yes")):
        (folder / f"{name}.json").write_text(json.dumps(study(name, answer)))
    return write_studies_page(folder)


def test_answers_come_first_and_every_value_can_be_read(page: Path) -> None:
    html = page.read_text()
    first, second = (
        html.index(f"{question}</a></h2>\n      <p><b>{answer}.</b> What {name} found.</p>")
        for question, answer, name in (
            ("Is it so in curves?", "Yes", "curves"),
            ("Is it so in quantity?", "Partly", "quantity"),
        )
    )
    assert first < html.index('id="small-curves-') < second < html.index('id="small-quantity-')
    assert second < html.index("<strong>Yes.</strong> What curves found.")
    assert '<th scope="row">equal updates</th><td>64</td><td>0.52</td><td>0.5</td><td>0.54</td>' in html
    assert "2 trainings, 2 seeds, 24 contexts" in html
    assert '<p class="answer">2 questions: 1 Yes, 1 Partly.</p>' in html
    assert "Not trained, for lack of time or of text: a (1 seed), b (3 seeds)." in html
    assert "Left out, as training diverged: a (seed 1)." in html
    assert "n = 24 contexts" in html
    assert (page.parent / "tables" / "quantity.csv").read_text().count("0.41") == 1


def test_points_of_a_scatter_say_what_they_are_and_the_front_looks_different(page: Path) -> None:
    html = page.read_text()
    titles = re.findall(r'id="quantity-plane-point-(\d)">\s*<title>(.*?)</title>', html)
    assert [int(number) for number, _ in titles] == [0, 1, 2, 3]
    assert titles[0][1] == (
        "base, repetition-penalty: TTR 0.868, perplexity on human text 56; nothing is better in both"
    )
    assert titles[2][1] == "hyperfitted, greedy: TTR 0.569, perplexity on human text 282"
    assert titles[3][1].startswith("stopped &lt;early&gt;, greedy: ")
    assert '<th scope="row">hyperfitted, greedy</th><td>282</td><td>0.569</td><td>0.549</td><td>0.589</td>' in html
    marks = [html.split(f'id="quantity-plane-point-{number}">')[1].split("</g>")[0] for number in range(4)]
    assert ["fill: var(--page)" in mark for mark in marks] == [False, True, True, False], "hollow off the front"
    assert "perplexity on human text (← better)" in html
    assert "filled: nothing is better in both" in html


def test_every_column_of_every_table_is_explained_once(tmp_path: Path) -> None:
    known = study("quantity", "Yes")
    other = Table("tasks", "Scores on tasks", [Row("base", {"task_score": about(0.4)})], ("task_score",))
    known["tables"].append(asdict(other))
    (tmp_path / "quantity.json").write_text(json.dumps(known))
    html = write_studies_page(tmp_path).read_text()
    assert [html.count(f"<dt>{heading}</dt>") for heading in ("TTR", "score, %")] == [1, 1]


def test_a_measure_that_no_row_knows_has_no_column(page: Path) -> None:
    """Perplexity is asked for and was not measured."""
    (sheet,) = study_tables(study("quantity", "Yes"))
    assert [measure.key for measure in sheet.measures] == ["ttr"]
    assert [len(row.cells) for row in sheet.rows] == [1, 1]


def test_no_foreign_text_does_harm(page: Path) -> None:
    html = page.read_text()
    assert "\u202e" not in html
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_folder_without_studies_or_with_a_damaged_one_is_told(page: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no study lies here; run one with hyperfit study"):
        write_studies_page(tmp_path)
    for damaged in ("{", "[]", "{}"):
        (tmp_path / "curves.json").write_text(damaged)
        with pytest.raises(UserError, match=r"curves.json: cannot be read"):
            write_studies_page(tmp_path)
    (tmp_path / "curves.json").write_text("{")
    with pytest.raises(UserError, match=r"curves.json: cannot be read"):
        write_studies_page(tmp_path)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as one:
        yield one


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_sticks_out_and_all_can_be_read(browser: Any, page: Path, width: int) -> None:
    with shown(browser, page, width) as window:
        assert window.evaluate(STICKS_OUT) == []
        assert window.evaluate("document.documentElement.scrollWidth") <= width
        assert window.evaluate(SMALLEST_TEXT)[0] >= 9


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing(browser: Any, page: Path, dark: bool) -> None:
    with shown(browser, page, dark=dark) as window:
        assert window.evaluate(UNPAINTED) == []
        assert faults(window) == []


def test_a_condition_looks_the_same_in_every_chart() -> None:
    base, tuned, blocked, people = looks_of(["base, greedy", "hyperfitted, greedy", "hyperfitted, blocked", "human"])
    assert (base, tuned, people) == (CONDITIONS["base"], CONDITIONS["hyperfitted"], CONDITIONS["human"])
    assert blocked == SERIES[0]
    assert looks_of(["equal epochs", "equal updates"]) == [CONDITIONS["hyperfitted"], SERIES[0]]
