"""What studies say of numbers that are made up: answers and sentences worked by hand."""

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from hyperfit.metrics.estimate import Estimate
from hyperfit.numbers import RATIO
from hyperfit.recipes.recipe import Recipe
from hyperfit.report.pages.overview import first_sentence
from hyperfit.report.tables.studies import study_tables
from hyperfit.runs.directory import RunDir
from hyperfit.studies.grid.training import Trained
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.questions.mechanism import strength
from hyperfit.studies.questions.texts import domain
from hyperfit.studies.questions.training import curves, early_stop, order, quantity, sensitivity
from hyperfit.studies.ranges import within_ranges
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Chart, Findings, Line, Point, Row, Scatter, Table, Trial
from hyperfit.studies.words import any_of, both, each

NOISE = np.array([-0.02, -0.01, 0.0, 0.01, 0.02, 0.0, -0.01, 0.01])
SOURCES = ["a", "a", "a", "a", "b", "b", "b", "b"]


class Logged(RunDir):
    """A run of which only the log is asked."""

    rows: list[dict[str, Any]]

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        return self.rows


def model(
    ttr: float, *, loss: float = 3.0, overlap: float = 4.0, choices: Any = None, ways: Any = ("greedy",)
) -> Model:
    values = {"ttr": (ttr + NOISE).tolist(), "word_share": [0.98] * 8, "longest_overlap": (overlap + NOISE).tolist()}
    predictions = {"loss": (loss + NOISE).tolist(), "choices": choices or [[-1, 1, 2, 3, 4]] * 8}
    return Model(predictions, {way: {"values": values, "texts": [""] * 8} for way in ways})


def results(models: dict[str, Model], *, base: float = 0.2, ways: Any = ("greedy",)) -> Results:
    trained: dict[str, list[Trained[Trial]]] = {label: [] for label in models}
    return Results(
        StudySettings(model="builtin:tiny"),
        model(base, loss=2.0, ways=ways),
        model(0.7, ways=ways),
        trained,
        {label: [one] for label, one in models.items()},
        SOURCES,
    )


@pytest.mark.parametrize(("early", "said"), [(0.3, "Yes"), (0.7, "No"), (0.5, "No")])
def test_early_stopping(early: float, said: str) -> None:
    found = early_stop.tell(results({early_stop.FULL: model(0.5), early_stop.EARLY: model(early)}))
    assert found.answer == said
    assert RATIO.told(0.5 - early, "+") in found.sentence


@pytest.mark.parametrize(("few", "many", "said"), [(0.3, 0.5, "Yes"), (0.6, 0.5, "No")])
def test_quantity_is_judged_at_equal_updates(few: float, many: float, said: str) -> None:
    found = quantity.tell(
        results({
            "64 sequences, equal epochs": model(many),
            "8 sequences, equal epochs": model(0.1),
            "8 sequences, equal updates": model(few, overlap=9.0),
        })
    )  # fmt: skip
    assert found.answer == said
    assert "tokens. At equal epochs: 8 .100, 64" in found.sentence
    assert "+5.0" in found.sentence


@pytest.mark.parametrize(("kept", "loss", "said"), [(0.58, 2.4, "Yes"), (0.58, 2.9, "No"), (0.4, 2.1, "No")])
def test_strength_keeps_nine_tenths_at_half_of_the_price(kept: float, loss: float, said: str) -> None:
    found = strength.tell(results({"strength 1": model(0.6, loss=3.0), "strength 0.5": model(kept, loss=loss)}))
    assert found.answer == said, "gain .4, price 1 nat: .36 and .5 would do"
    assert f"Strength 0.5 keeps {round(100 * (kept - 0.2) / 0.4)} % of the gain" in found.sentence
    assert f"at {round(100 * (loss - 2))} % of the rise of the loss" in found.sentence


def test_the_order_matters_where_two_models_agree_at_less_than_nine_tenths() -> None:
    other = [[-1, 1, 2, 9, 9]] * 8
    found = order.tell(results({order.SAME: model(0.5), order.ORDERS[0]: model(0.5, choices=other)}))
    assert found.answer == "Yes"
    assert "at 50 % to 50 % of positions" in found.sentence
    assert "another seed" not in found.sentence
    one, same, apart = model(0.5), model(0.5, choices=other), model(0.5, choices=[[-1, 1, 9, 9, 9]] * 8)
    known = results({order.SAME: one, order.ORDERS[0]: same})
    known.models.update({
        order.SAME: [replace(one, seed=0), replace(apart, seed=1)], order.ORDERS[0]: [replace(same, seed=0)],
    })  # fmt: skip
    assert order.over_seeds(known, order.SAME).value == 0.25, "one of four positions"
    assert "with another seed 25 [25, 25] %" in order.tell(known).sentence
    assert order.tell(known).tables[1].rows[-1].name == "as it is and another seed"
    assert order.tell(results({order.SAME: model(0.5), order.ORDERS[0]: model(0.5)})).answer == "No"


def test_models_in_another_order_stand_in_a_matrix() -> None:
    """Of the four positions all models but the first choose 9 at the last two, and one of them at the second, too."""
    choices = ([[-1, 1, 2, 9, 9]] * 8, [[-1, 1, 9, 9, 9]] * 8)
    known = results({
        order.SAME: model(0.5), order.ORDERS[0]: model(0.5, choices=choices[0]),
        order.SWAP: model(0.5, choices=choices[1]),
    })  # fmt: skip
    matrix = order.tell(known).tables[-1]
    assert (matrix.of, matrix.measures) == ("top1_agreement", (order.SAME, order.ORDERS[0], order.SWAP))
    assert [[row.cells[name].value for name in matrix.measures] for row in matrix.rows] == [
        [1, 0.5, 0.25], [0.5, 1, 0.75], [0.25, 0.75, 1],
    ]  # fmt: skip
    wide = Estimate(0.9, 0.7, 1.1, 8)
    told = within_ranges(Findings("Yes", "", [Table("m", "", [Row("a", {"b": wide})], ("b",), of="top1_agreement")]))
    assert told.tables[0].rows[0].cells["b"].high == 1
    (sheet,) = study_tables({"tables": [asdict(told.tables[0])]})
    assert (sheet.columns, sheet.shaded) == (["b"], True)
    assert (sheet.rows[0].cells[0].value, sheet.rows[0].cells[0].interval) == ("90.0", "[70.0, 100.0]")


def test_a_domain_counts_where_it_was_not_trained_on() -> None:
    found = domain.tell(results({"trained on a": model(0.5), "trained on b": model(0.2)}))
    assert found.answer == "Partly"
    assert "in 1 of 2 pairs" in found.sentence
    assert {table.name for table in found.tables} == {"domain", "domain-a", "domain-b"}
    assert [table.rows[0].cells["ttr"].n for table in found.tables] == [8, 4, 4], "of all contexts, and of one source"


def test_what_is_known_of_all_texts_together_is_not_told_of_some() -> None:
    tuned = model(0.5)
    tuned.written["greedy"]["together"] = {"mauve": {"value": 0.8, "low": None, "high": None, "n": 8}}
    tables = {table.name: table for table in domain.tell(results({"trained on a": tuned})).tables}
    assert tables["domain"].rows[1].cells["mauve"].value == 0.8
    assert "mauve" not in tables["domain-a"].measures
    known = results({"trained on a": tuned})
    assert known.estimate("trained on a", "mauve", source="a").n == 0


def test_sensitivity_names_what_moves() -> None:
    found = sensitivity.tell(results({
        "as it is": model(0.5), "lr 0.1": model(0.2), "rank 8": model(0.5), "batch size 1": model(0.5),
    }))  # fmt: skip
    assert found.answer == "Partly"
    assert "Of 3 changes" in found.sentence
    assert "lr 0.1 −.300" in found.sentence
    assert "rank 8" not in found.sentence


def test_curves_say_what_early_stopping_would_have_chosen(tmp_path: Any) -> None:
    run = Logged(tmp_path)
    ttr, val = (0.2, 0.3, 0.5, 0.6), (4.0, 3.0, 3.5, 4.5)
    object.__setattr__(run, "rows", [
        {"epoch": epoch, "train_loss": None if not epoch else 4.0 - epoch, "ttr": ttr[epoch], "val_loss": val[epoch]}
        for epoch in range(4)
    ])  # fmt: skip
    known = results({curves.LABEL: model(0.6)})
    one = Trained(
        trial=Trial(curves.LABEL, Recipe(model="m", data="d")), run=run, parameters=1, epochs=3, reason="loss",
        train_loss=0.05, epoch_seconds=1.0, cache_seconds=0.0,
    )  # fmt: skip
    known.trained[curves.LABEL].append(one)
    assert curves.tell(known).answer == "Not shown", "one seed has no interval"
    known.trained[curves.LABEL] += [one, one]
    found = curves.tell(known)
    assert found.answer == "Yes"
    assert "best after epoch 1, the type-token ratio of greedy text after epoch 3" in found.sentence
    assert "a ratio .300 [.300, .300] lower" in found.sentence


@pytest.mark.parametrize(
    ("parts", "conjunction", "disjunction", "case_by_case"),
    [
        (("Yes", "Yes"), "Yes", "Yes", "Yes"),
        (("Yes", "No"), "No", "Yes", "Partly"),
        (("No", "No"), "No", "No", "No"),
        (("Yes", "Partly"), "Partly", "Yes", "Partly"),
        (("No", "Partly"), "No", "Partly", "Partly"),
        (("Not shown", "Not shown"), "Not shown", "Not shown", "Not shown"),
        (("Yes", "Not shown"), "Partly", "Yes", "Partly"),
    ],
)
def test_answers_of_several_parts(parts: Any, conjunction: str, disjunction: str, case_by_case: str) -> None:
    assert (both(*parts), any_of(parts), each(parts)) == (conjunction, disjunction, case_by_case)


def test_what_is_too_wide_to_say_is_no_answer() -> None:
    wide = model(0.5)
    wide.written["greedy"]["values"]["ttr"] = [0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.1, 0.9]
    found = sensitivity.tell(results({"as it is": model(0.5), "rank 8": wide, "rank 4": model(0.5)}))
    assert found.answer == "Partly"
    assert (
        "0 move the type-token ratio: none. 1 keep it within .050, and of 1 the interval is too wide" in found.sentence
    )
    assert domain.tell(results({"trained on a": wide})).answer == "Partly", ".1 and .9 against .2"
    wide.predictions["loss"] = model(0.5, loss=2.2).predictions["loss"]
    assert strength.tell(results({"strength 1": model(0.6), "strength 0.5": wide})).answer == "Partly", "cheap enough"


def test_intervals_end_where_a_measure_does() -> None:
    wide, loss, bleu = Estimate(0.98, 0.9, 1.06, 3), Estimate(0.1, -0.2, 0.4, 3), Estimate(16.6, 11.2, 23.1, 3)
    told = Findings(
        "Yes",
        "So.",
        [Table("t", "T", [Row("a", {"word_share": wide, "train_loss": loss, "change": wide, "self_bleu": bleu})], ())],
        [Chart("c", "epoch", "word_share", [Line("a", [(1.0, wide)])])],
        scatters=[Scatter("s", "longest_overlap", "runs", "ttr", "low", [Point("a", "a", "a", loss, wide)])],
    )  # fmt: skip
    found = within_ranges(told)
    cells = found.tables[0].rows[0].cells
    assert (cells["word_share"].low, cells["word_share"].high) == (0.9, 1.0)
    assert (cells["train_loss"].low, cells["train_loss"].high) == (0.0, 0.4)
    assert cells["change"] == wide, "a difference has no range"
    assert cells["self_bleu"] == bleu, "of a hundred"
    assert (found.scatters[0].points[0].x.low, found.scatters[0].points[0].y.high) == (0.0, 1.0)
    assert found.charts[0].lines[0].points[0][1].high == 1.0


def test_first_sentences_do_not_end_behind_et_al() -> None:
    assert (
        first_sentence("It rises (Carlsson et al. Two too). Then .5 to 1. More.")
        == "It rises (Carlsson et al. Two too)."
    )
    assert first_sentence("One alone") == "One alone."
