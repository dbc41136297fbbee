"""One way to write a number: every measure in tables and in sentences, and no other way anywhere in the package."""

import ast
import math
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hyperfit
from hyperfit.metrics.estimate import Estimate
from hyperfit.metrics.score import score
from hyperfit.metrics.text.words import Lexicon
from hyperfit.numbers import COUNT, PERCENT, PERPLEXITY, POINTS, RATIO, STYLES, TENTHS, decimal, figures, style_of
from hyperfit.report.tables.studies import MEASURES

SOURCE = Path(hyperfit.__file__).parent
NO_MEASURES = {
    "numbers.py",
    "recipes/defaults.py",  # a learning rate, rounded
    "report/tables/evaluations/strip.py",  # lengths of bars, for CSS
    "models/files/dequantise.py",  # megabytes
    "prefix/disk/sizes.py",  # bytes
    "prefix/cache.py",  # seconds that the cache has saved
    "training/lines.py",  # seconds of an epoch
    "runs/files.py",  # megabytes
}
"""Files that write numbers in a way of their own, and which."""
OWN_WAY = re.compile(r",|\.\d*[f%ge]|%")


@pytest.mark.parametrize(
    ("value", "plain", "signed"),
    [
        (1.0, "1.000", "+1.000"),
        (0.0, ".000", ".000"),
        (-0.0001, ".000", ".000"),
        (-0.5, "−.500", "−.500"),
        (10.5, "10.500", "+10.500"),
        (math.nan, "–", "–"),
    ],
)
def test_ratios_have_no_leading_zero(value: float, plain: str, signed: str) -> None:
    assert (RATIO(value), RATIO(value, "+")) == (plain, signed)
    assert RATIO.told(value, "+") == signed


def test_a_share_is_not_told_as_none_or_all() -> None:
    shares = (0.0, 0.004, 0.0096, 0.17, 0.994, 0.999, 1.0, math.nan)
    assert [PERCENT.told(share) for share in shares] == [
        "0 %",
        "0.4 %",
        "1 %",
        "17 %",
        "99 %",
        "99.9 %",
        "100 %",
        "–",
    ]
    assert [PERCENT(share) for share in (0.0, 0.0049, 1.0, math.nan)] == ["0.0", "0.5", "100.0", "–"]


def test_in_a_table_and_in_a_sentence() -> None:
    assert [PERPLEXITY(value) for value in (9.87, 92.34, 1060.4)] == ["9.9", "92.3", "1,060"]
    assert [PERPLEXITY.told(value) for value in (9.87, 92.34, 1060.4)] == ["9.9", "92", "1,060"]
    assert [COUNT(11_737_344), COUNT.told(11_737_344), COUNT.told(3_153)] == ["11,737,344", "11.7 million", "3,153"]
    known = Estimate(0.031, -0.004, 0.07, 30)
    assert POINTS.within(known, "+") == "+3.1 [−0.4, +7.0] points"
    assert PERCENT.within(known) == "3 [−0.4, 7] %"
    assert PERCENT.interval(known, "+") == "[−0.4, +7.0]"
    assert RATIO.within(known) == ".031 [−.004, .070]"


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.12345, "0.1235"), (-2.5, "−2.5"), (12345.6, "12,346"), (1e-7, "1e−07"), (math.nan, "–"), (3, "3")],
)
def test_figures(value: float, written: str) -> None:
    assert figures(value) == written


@given(st.floats(-1e9, 1e9), st.integers(0, 4))
def test_a_written_number_is_the_number(value: float, digits: int) -> None:
    for sign in "-+":
        back = decimal(value, digits, sign).replace(",", "").replace("−", "-")
        assert float(back) == pytest.approx(value, abs=0.5 * 10**-digits + 1e-9)


def test_every_measure_has_a_style() -> None:
    rows = [[1, 2, 3, 4, 5, 6] * 20, [7, 8, 9] * 40]
    found = score({"texts": rows}, rows, {"texts": ["one two"] * 2}, lexicon=Lexicon("en", frozenset({"one"})))
    known = {*found["texts"].per_text, *found["texts"].pooled, *MEASURES}
    assert not known - STYLES.keys()
    assert style_of("a new one") is not TENTHS


def own_ways(file: Path) -> Iterator[str]:
    """Numbers that a file formats by itself: in f-strings, and in strings for format."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FormattedValue) and node.format_spec is not None:
            spec = ast.unparse(node.format_spec)
            if OWN_WAY.search(spec):
                yield f"{file.relative_to(SOURCE)}:{node.lineno} {spec}"
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for spec in re.findall(r"\{\w*:([^{}]*)\}", node.value):
                if OWN_WAY.search(spec):
                    yield f"{file.relative_to(SOURCE)}:{node.lineno} {spec}"


def test_no_file_writes_numbers_in_a_way_of_its_own() -> None:
    files = [file for file in SOURCE.rglob("*.py") if str(file.relative_to(SOURCE)) not in NO_MEASURES]
    assert [way for file in files for way in own_ways(file)] == []
    assert list(own_ways(SOURCE / "prefix" / "disk" / "sizes.py")), "else the search finds nothing"
