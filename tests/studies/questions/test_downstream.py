"""What is said of planted scores, worked by hand; and of a study whose package is not there."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hyperfit.cli import main
from hyperfit.errors import UserError, pip_install
from hyperfit.evaluation.tasks.scores import Scores
from hyperfit.metrics.estimate import Estimate, paired_share_difference
from hyperfit.report.tables.studies import MEASURES
from hyperfit.runs.json_values import json_values
from hyperfit.studies.catalogue import load_study
from hyperfit.studies.measures.results import Model, Results
from hyperfit.studies.questions.mechanism import strength
from hyperfit.studies.questions.texts.downstream import LABEL, LOSSES, SCORES, tell
from hyperfit.studies.run import run_studies
from hyperfit.studies.settings import StudySettings
from hyperfit.studies.study import Findings
from hyperfit.studies.tasks.compared import change


def scores(right: int, of: int = 1000, *, first: int = 0, chance: float = 0.25) -> Scores:
    """So many right answers, from the example ``first`` on."""
    values = [float(first <= number < first + right) for number in range(of)]
    return Scores("acc", values, [f"h{number}" for number in range(of)], chance=chance)


def losses(mean: float, of: int = 40) -> Scores:
    values = [mean + 0.01 * (number % 5 - 2) for number in range(of)]
    return Scores("bits_per_byte", values, [f"h{number}" for number in range(of)], loss=True)


def results(base: dict[str, Scores | dict[str, Scores]], *tuned: dict[str, Scores | dict[str, Scores]]) -> Results:
    """A base model and hyperfitted ones, each with its scores by task, or by the parts of one."""

    def model(found: dict[str, Scores | dict[str, Scores]]) -> Model:
        return Model(tasks={name: one if isinstance(one, dict) else {name: one} for name, one in found.items()})

    return Results(
        StudySettings(model="builtin:tiny"), model(base), Model(), {}, {LABEL: [model(one) for one in tuned]}
    )


def cells(found: Findings, table: int = 0, row: int = 0) -> dict[str, Estimate]:
    return found.tables[table].rows[row].cells


@pytest.mark.parametrize(
    ("right", "said"), [(600, "Yes"), (595, "Yes"), (700, "Yes"), (570, "Partly"), (585, "Partly"), (500, "No")]
)
def test_kept_is_what_loses_less_than_two_points_by_its_whole_interval(right: int, said: str) -> None:
    """Of 1,000 examples: 15 lost is -1.5 points, give or take .8; 30 lost is -3, give or take 1.1."""
    found = tell(results({"t": scores(600)}, {"t": scores(right)}))
    off = cells(found)["task_change"]
    assert off.value == pytest.approx((right - 600) / 1000)
    assert {"Yes": off.low > -0.02, "No": off.high <= -0.02, "Partly": off.low <= -0.02 < off.high}[said]
    assert found.answer == said
    assert f"60.0 % to {right / 10:.1f} %" in found.sentence


def test_no_change_of_few_examples_proves_little() -> None:
    found = tell(results({"t": scores(15, 20)}, {"t": scores(15, 20)}))
    assert found.answer == "Partly", "twenty examples do not show that less than two points are lost"
    off = cells(found)["task_change"]
    assert (off.value, off.n) == (0, 20)
    assert off.low < -0.02 < 0 < off.high
    several = tell(results({"t": scores(15, 20)}, *[{"t": scores(15, 20)}] * 3))
    assert cells(several)["task_change"] == off, "nor do equal seeds"


def test_differences_are_paired_over_examples() -> None:
    same = tell(results({"t": scores(500)}, {"t": scores(500)}))
    other = tell(results({"t": scores(500)}, {"t": scores(500, first=500)}))
    widths = [cells(one)["task_change"].high - cells(one)["task_change"].low for one in (same, other)]
    assert [cells(one)["task_change"].value for one in (same, other)] == [0, 0]
    assert widths[1] > 10 * widths[0]


def test_seeds_widen_the_interval() -> None:
    one = tell(results({"t": scores(600)}, {"t": scores(500)}))
    known = results({"t": scores(600)}, {"t": scores(400)}, {"t": scores(500)}, {"t": scores(600)})
    three, alone = cells(tell(known))["task_change"], cells(one)["task_change"]
    assert three.value == pytest.approx(alone.value)
    assert three.high - three.low > 2 * (alone.high - alone.low)
    assert three.n == 1000


def test_several_tasks_are_judged_together() -> None:
    kept, lost, open_ = scores(600), scores(300), scores(585)
    base = {"a": scores(600), "b": scores(600)}
    assert tell(results(base, {"a": kept, "b": kept})).answer == "Yes"
    partly = tell(results(base, {"a": kept, "b": lost}))
    assert (partly.answer, "Kept: 1 of 2, lost: 1, open: 0." in partly.sentence) == ("Partly", True)
    assert tell(results(base, {"a": lost, "b": lost})).answer == "No"
    assert tell(results(base, {"a": lost, "b": open_})).answer == "No", "one is lost and none is known to be kept"
    assert tell(results(base, {"a": kept, "b": open_})).answer == "Partly"
    known = results(base, {"a": lost, "b": lost})
    one, two = (change(known, LABEL, "a", comparisons=count) for count in (1, 2))
    assert two.low < one.low < one.high < two.high


def test_where_the_base_model_guesses_nothing_is_shown() -> None:
    found = tell(results({"a": scores(260)}, {"a": scores(100)}))
    assert found.answer == "Not shown"
    assert "on a the base model does no better than guessing".capitalize() in found.sentence
    assert cells(found)["task_chance"].value == 0.25
    other = tell(results({"a": scores(260), "b": scores(600)}, {"a": scores(100), "b": scores(600)}))
    assert other.answer == "Yes"
    assert "Kept: 1 of 1" in other.sentence
    written = tell(results({"w": scores(0, chance=0.0)}, {"w": scores(0, chance=0.0)}))
    assert written.answer == "Not shown", "what it never writes it cannot lose"


def test_losses_are_told_and_do_not_count() -> None:
    found = tell(results({"t": scores(600), "w": losses(1.0)}, {"t": scores(600), "w": losses(2.5)}))
    assert found.answer == "Yes"
    assert "w: the loss changes by +1.500 [+1.500, +1.500]" in found.sentence
    assert cells(found, table=1)["loss_change"].value == pytest.approx(1.5)
    assert tell(results({"w": losses(1.0)}, {"w": losses(1.0)})).answer == "Not shown"


def test_a_group_counts_as_one_and_shows_its_parts() -> None:
    base = {"mmlu": {"law": scores(30, 100), "logic": scores(270, 300)}}
    tuned = {"mmlu": {"law": scores(20, 100), "logic": scores(180, 300)}}
    found = tell(results(base, tuned))
    assert found.answer == "No"
    assert [table.name for table in found.tables] == ["downstream", "downstream-mmlu"]
    assert cells(found)["task_base"].value == 0.75
    assert cells(found)["task_base"].n == 400
    assert [row.name for row in found.tables[1].rows] == ["law, acc", "logic, acc"]
    assert cells(found, 1, 1)["task_change"].value == pytest.approx(-0.3)


def test_models_on_different_examples_are_not_compared() -> None:
    other = replace(scores(500), examples=["other"] * 1000)
    with pytest.raises(ValueError, match="t: the models were measured on different examples"):
        tell(results({"t": scores(500)}, {"t": other}))


def test_without_a_model_nothing_is_shown() -> None:
    assert tell(results({"t": scores(500)})).answer == "Not shown"


def test_every_column_has_a_name_for_people_and_goes_into_json() -> None:
    assert set(SCORES) | set(LOSSES) <= set(MEASURES)
    assert "nan" not in str(json_values(tell(results({"t": scores(600)}, {"t": scores(500)})))).lower()


def test_another_level_widens_agresti_and_min() -> None:
    usual, wide = (paired_share_difference([1, 0, 1, 1] * 9, [0, 0, 1, 0] * 9, level) for level in (0.95, 0.99))
    assert wide.low < usual.low < usual.value < usual.high < wide.high


# Along the dial of the strength


def test_strength_tells_scores_along_the_dial() -> None:
    """Of 1,000 examples the base has 600, half of the change 590, all of it 500; losses are no scores."""
    noise = [0.001 * number for number in range(8)]

    def written(ttr: float, loss: float, right: int) -> Model:
        values = {"ttr": [ttr + one for one in noise]}
        tasks = {"t": {"t": scores(right)}, "w": {"w": losses(1.0)}}
        return Model({"loss": [loss + one for one in noise]}, {"greedy": {"values": values}}, tasks=tasks)

    models = {"strength 1": [written(0.6, 3.0, 500)], "strength 0.5": [written(0.5, 2.2, 590)]}
    known = Results(StudySettings(model="builtin:tiny"), written(0.2, 2.0, 600), Model(), {}, models)
    known.human.written["greedy"] = {"values": {}}
    found = strength.tell(known)
    assert found.sentence.endswith("On t the base scores 60 %; 0.5: 59 %; 1: 50 %.")
    table = found.tables[1]
    assert [row.name for row in table.rows] == ["t, base", "t, strength 0.5", "t, strength 1"]
    assert [row.cells["task_score"].value for row in table.rows] == [0.6, 0.59, 0.5]
    assert table.rows[1].cells["task_change"] == change(known, "strength 0.5", "t", comparisons=2)
    (line,) = found.charts[-1].lines
    assert [(at, one.value) for at, one in line.points] == [(0.0, 0.6), (0.5, 0.59), (1.0, 0.5)]


# The package is optional


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)


@pytest.mark.usefixtures("absent")
def test_named_without_lm_eval_it_is_refused(
    world: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["study", "downstream", "--model", world[0], "--data", world[1], "-o", str(tmp_path / "out")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "study downstream: needs lm-eval, and lm_eval is missing; " + pip_install("lm-eval") in said
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("absent")
def test_among_all_without_lm_eval_it_is_left_out_and_said(world: tuple[str, str], tmp_path: Path) -> None:
    model, texts = world
    settings = StudySettings(
        model=model, data=texts, samples=4, length=24, seeds=1, contexts=(texts,), most_contexts=4, context=6, total=24
    )
    lines: list[str] = []
    run_studies(["all"], settings, tmp_path / "out", dry_run=True, notify=lines.append)
    assert any(line.startswith("downstream is left out: needs lm-eval") for line in lines)
    assert any("trainings" in line for line in lines)
    with pytest.raises(UserError, match="study downstream: needs lm-eval"):
        run_studies(["all", "downstream"], settings, tmp_path / "out", dry_run=True, notify=lines.append)


def test_settings_are_checked() -> None:
    with pytest.raises(UserError) as refused:
        StudySettings(tasks=(), task_limit=0)
    assert set(refused.value.problems) == {
        "--task-limit 0: give a whole number of 1 or more",
        "--tasks: give at least one",
    }
    assert load_study("downstream").tasks
