"""What the app exports is what is scored: lines and tables alike, also beside a model that judged the same pairs."""

import json
import random
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from hyperfit.prefer.export.formats import FORMATS, exported
from hyperfit.prefer.items.pairs import pairs_of
from hyperfit.prefer.judges.settings import JudgeSettings
from hyperfit.prefer.reading.files import read_judgements
from hyperfit.prefer.settings import StudySettings
from hyperfit.prefer.statistics.between import agreement_with_people
from hyperfit.prefer.statistics.score import score
from hyperfit.prefer.store.answers import SIDES, Given, store_answer
from hyperfit.prefer.store.claims import current
from hyperfit.prefer.store.judgements import judgements
from hyperfit.prefer.store.study import OpenStudy, invite, make_study
from study_server import made_run

CONTEXTS = 6


@pytest.fixture
def study(tmp_path: Path) -> OpenStudy:
    """Three annotators have finished, each with gold items and repeated ones, and a further question."""
    run = made_run(tmp_path / "run", CONTEXTS)
    settings = StudySettings(gold=1, repeats=1, questions=("coherence",))
    made = make_study(tmp_path / "study", None, [run], settings, pairs_of([run], settings))
    draw = random.Random(0)
    for annotator in invite(made, 3):
        while True:
            with made.database.writing() as session:
                assignment = current(session, annotator, settings)
                if assignment is None:
                    break
                key = assignment.id
            answer = Given(draw.choice(SIDES), 0, seconds=2.5, questions={"coherence": "equal"}, comment="=1+1, so")
            with made.database.writing() as session:
                assert store_answer(session, annotator, key, answer) == "stored"
    return made


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_every_judgement_comes_back(study: OpenStudy, kind: str, tmp_path: Path) -> None:
    file = tmp_path / FORMATS[kind].file_name
    file.write_text(exported(study, kind), encoding="utf-8", newline="")
    found, expected = read_judgements([file]).people, judgements(study)
    study.database.close()
    assert {one.purpose for one in expected} == {"study", "gold", "repeat"}
    plain = [replace(one, comment="") for one in found]
    assert plain == [replace(one, comment="") for one in expected]
    assert all(one.comment.endswith("=1+1, so") for one in found)


def test_scores_count_what_was_answered(study: OpenStudy, tmp_path: Path) -> None:
    expected = judgements(study)
    study.database.close()
    found = score(expected)
    own = [one for one in expected if one.purpose == "study"]
    assert found.judgements == len(own)
    for (first, second), pair in found.pairs.items():
        rows = [one for one in own if {one.first, one.second} == {first, second}]
        good = sum(
            one.choice == "equal" or {"first": one.first, "second": one.second}[one.choice] == first for one in rows
        )
        assert pair.shares.preferred_or_equal.value == pytest.approx(good / len(rows))
    assert found.all_annotators.repeat.n == 3
    assert found.all_annotators.gold.n == 3


def test_a_model_judges_the_same_pairs(study: OpenStudy, tmp_path: Path) -> None:
    people = judgements(study)
    study.database.close()
    model = [
        {**asdict(replace(people[0], judge="m", item=pair.id, first=pair.first, second=pair.second)), "kind": "model"}
        for pair in pairs_of([tmp_path / "run"], JudgeSettings(model="m").study)
    ]
    file = tmp_path / "m.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in model))
    agreement = agreement_with_people(read_judgements([file]).models["m"], people)
    items = {one.item for one in people if one.purpose == "study"}
    assert items == {row["item"] for row in model}
    assert 0 < agreement.with_majority.n <= len(items)
