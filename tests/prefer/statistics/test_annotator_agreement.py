"""κ and α: published examples, an independent implementation, and what must hold of both."""

import math

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperfit.prefer.judgement import Judgement
from hyperfit.prefer.statistics import agreement
from hyperfit.prefer.statistics.agreement import fleiss_kappa, krippendorff_alpha
from simulated_studies import judgement

CHOICES = ("first", "equal", "second")


def study(rows: list[list[str | None]]) -> list[Judgement]:
    """rows: of items, each the choice of every judge, None where not judged."""
    return [
        judgement(judge, item, choice)  # type: ignore[arg-type]
        for item, row in enumerate(rows)
        for judge, choice in enumerate(row)
        if choice is not None
    ]


def test_kappa_worked_by_hand() -> None:
    """P̄ = (1 + 1/3 + 1/3) / 3 = 45/81; p = (6, 1, 2)/9, so P_e = 41/81; κ = (45 − 41) / (81 − 41) = 1/10."""
    rows: list[list[str | None]] = [["first"] * 3, ["first", "first", "equal"], ["second", "second", "first"]]
    assert fleiss_kappa(study(rows)).value == pytest.approx(1 / 10)


def test_kappa_of_fleiss_over_three_categories(monkeypatch: pytest.MonkeyPatch) -> None:
    """The example that most texts print: 10 subjects, 14 raters, 5 categories, κ = .210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    monkeypatch.setattr(agreement, "CHOICES", tuple("abcde"))
    rows: list[list[str | None]] = [
        [name for name, count in zip("abcde", row, strict=True) for _ in range(count)] for row in table
    ]
    assert fleiss_kappa(study(rows)).value == pytest.approx(0.210, abs=0.0005)


def test_alpha_of_krippendorff(monkeypatch: pytest.MonkeyPatch) -> None:
    """Krippendorff (2011), part C: four observers, twelve units, missing data, nominal α = .743."""
    observers = [
        "1 2 3 3 2 1 4 1 2 * * *",
        "1 2 3 3 2 2 4 1 2 5 * 3",
        "* 3 3 3 2 3 4 2 2 5 1 *",
        "1 2 3 3 2 4 4 1 2 5 1 *",
    ]
    rows = list(zip(*(line.split() for line in observers), strict=True))
    monkeypatch.setattr(agreement, "CHOICES", tuple("12345"))
    units: list[list[str | None]] = [[None if value == "*" else value for value in row] for row in rows]
    assert krippendorff_alpha(study(units)).value == pytest.approx(0.743, abs=0.0005)


@given(
    st.lists(
        st.lists(st.sampled_from([*CHOICES, None]), min_size=4, max_size=4),
        min_size=2,
        max_size=15,
    )
)
def test_alpha_is_that_of_the_package(rows: list[list[str | None]]) -> None:
    found = krippendorff_alpha(study(rows), resamples=20).value
    counts = np.asarray([[row.count(choice) for choice in CHOICES] for row in rows])
    pairable = counts[counts.sum(axis=1) > 1]
    if len(pairable) == 0 or np.count_nonzero(pairable.sum(axis=0)) < 2:
        assert math.isnan(found)
    else:
        expected = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
        assert found == pytest.approx(expected)


def test_full_agreement_is_one_and_its_interval_too() -> None:
    rows = study([["first"] * 3, ["second"] * 3, ["equal"] * 3] * 4)
    for found in (fleiss_kappa(rows), krippendorff_alpha(rows)):
        assert (found.value, found.low, found.high, found.n) == (1, 1, 1, 12)


def test_undefined_where_there_is_nothing_to_compare() -> None:
    alone = study([["first", None], ["second", None]])
    same = study([["first", "first"]] * 3)
    for rows in (alone, same, []):
        assert math.isnan(fleiss_kappa(rows).value)
        assert math.isnan(krippendorff_alpha(rows).value)


def test_kappa_is_of_items_that_were_judged_equally_often() -> None:
    rows = study([["first", "first", "first"], ["second", "second", "first"], ["equal", "first", None]])
    assert fleiss_kappa(rows).n == 2
    assert krippendorff_alpha(rows).n == 3
